"""Tell on stderr what is being done: one line that changes on a terminal, a few lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dsx.report.console import console


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Follow work that says what it does.

    Yields:
        To be told in a few words what is done next. Without a terminal only their first part, up to
        a comma, counts as news.
    """
    out = console(stderr=True)
    if out.is_terminal:
        with out.status("") as status:
            yield status.update
        return
    last = ""

    def tell(words: str) -> None:
        nonlocal last
        first = words.partition(",")[0]
        if first != last:
            last = first
            out.print(first, soft_wrap=True)

    yield tell
