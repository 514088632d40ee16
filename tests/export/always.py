"""A form cache that contains every situation."""

from dsx.conv.deploy import Choice


class Always(dict[str, Choice]):
    """A form cache in which one form is the fastest in every situation."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def get(self, situation: str, default: object = None) -> Choice:
        return Choice(form=self.form, seconds={})
