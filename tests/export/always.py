"""A memory of deployed forms that always knows the answer."""

from dsx.conv.deploy import Choice


class Always(dict[str, Choice]):
    """Knows, of every situation, that one form is the fastest."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def get(self, situation: str, default: object = None) -> Choice:
        return Choice(form=self.form, seconds={})
