"""Show on stderr how far long work is: a bar on a terminal, a few lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dsx.report.console import console
from dsx.study import run

LINES = 10


class SearchProgress:
    """Follows a search; `report` is what `search` takes."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.completed:.0f}/{task.total:.0f} designs"),
            BarColumn(bar_width=None),
            TimeRemainingColumn(),
            TextColumn("left · front {task.fields[front]} · {task.description}"),
            console=self._console,
            expand=True,
        )
        self._task = self._bar.add_task("starting", total=None, front=0, visible=False)
        self._last: run.Progress | None = None
        self._printed = -1

    def __enter__(self) -> "SearchProgress":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()
        if self._last is not None and error is None:
            self._console.print(summary(self._last), soft_wrap=True)

    def report(self, progress: run.Progress) -> None:
        """Show where the search stands."""
        self._last = progress
        if not self._console.is_terminal:
            self._print_sometimes(progress)
            return
        self._bar.update(
            self._task,
            description=progress.doing,
            completed=progress.complete,
            total=progress.trials,
            front=progress.front,
            visible=True,
        )

    def _print_sometimes(self, progress: run.Progress) -> None:
        step = progress.complete * LINES // progress.trials
        if step != self._printed:
            self._printed = step
            self._console.print(
                f"{progress.complete}/{progress.trials} designs, {progress.front} on the front",
                soft_wrap=True,
            )


def summary(progress: run.Progress) -> str:
    """Say how a search ended, and what is left to do."""
    words = {
        "complete": "measured to the end",
        "rejected": "rejected by a constraint",
        "failed": "failed",
        "repeated": "drawn again",
        "interrupted": "interrupted",
    }
    parts = [f"{n} {words[state]}" for state, n in progress.counts.items() if n and state in words]
    line = f"{progress.doing}: {', '.join(parts) or 'nothing was drawn'}"
    if not progress.marked:
        return line
    one = progress.marked == 1
    many = "1 latency that matters is" if one else f"{progress.marked} latencies that matter are"
    return (
        f"{line}\n{many} marked (a busy machine, or a wide interval): "
        f"`dsx pareto {progress.study} --settle 2m` measures again"
    )


@contextmanager
def working(words: str) -> Iterator[None]:
    """Show that something is being done, on a terminal only.

    Args:
        words: What.
    """
    out = console(stderr=True)
    if not out.is_terminal:
        yield
        return
    with out.status(words):
        yield
