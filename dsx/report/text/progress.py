"""Progress of long-running work on stderr: a bar on a terminal, dated lines in a pipe."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dsx.activity import (
    Activity,
    End,
    Event,
    Kind,
    OnStatus,
    active,
    activity,
    current,
    current_subject,
)
from dsx.analysis import TrialState
from dsx.errors import printable
from dsx.report.text.console import console, displaying
from dsx.report.text.outcomes import counted_states
from dsx.secret import without_url_password

if TYPE_CHECKING:
    from dsx.search import Progress as SearchState

LINES = 10
"""Maximum number of lines that report the number of completed designs of a search."""
FIRST_SECONDS, LAST_SECONDS = 2.0, 120.0
"""Seconds before the first line about a step in a pipe, and the longest interval between lines."""
BAR = 24
"""Width of a bar in characters."""


_WORK = {
    Kind.BUILDING_NETWORK: "building the network",
    Kind.CHECKING_FLOPS: "checking the FLOPs of the network",
    Kind.CHECKING_IMAGES: "checking images",
    Kind.CHECKING_LEASE: "checking whether the process that holds the study is alive:",
    Kind.CHECKING_NOISE: "checking whether the machine is idle",
    Kind.CLASSIFYING: "classifying images",
    Kind.COMPARING_IMAGES: "comparing images",
    Kind.COUNTING: "counting parameters and FLOPs",
    Kind.DECODING_IMAGES: "decoding images",
    Kind.DEPLOYING: "deploying",
    Kind.ESTIMATING_NORMS: "estimating batch norm statistics",
    Kind.FINDING_PIXEL_RANGE: "finding the range of the pixels",
    Kind.LISTING_FILES: "listing files",
    Kind.LISTING_OPTIONS: "listing the options of each slot",
    Kind.LOADING_DATA: "loading the data",
    Kind.MEASURING: "measuring",
    Kind.PREPARING_BACKEND: "preparing the network for",
    Kind.PROBING_NETWORK: "checking that the network can be redesigned",
    Kind.PROFILING: "timing each slot",
    Kind.READING_STUDY: "reading the study",
    Kind.SAMPLING: "sampling a design",
    Kind.SELECTING_FORMS: "selecting deployed forms",
    Kind.STARTING: "starting",
    Kind.TIMING: "timing",
    Kind.TIMING_EXPORT: "timing the exported model",
    Kind.TRAINING: "training",
    Kind.VERIFYING_EXPORT: "running the exported model in a fresh process",
    Kind.WAITING_FOR_DEVICE: "waiting for the device: another process times or trains on it",
    Kind.WAITING_FOR_FOLDER: "waiting for another process that writes to",
    Kind.WAITING_FOR_SERVER: "waiting for",
}
"""Description of each kind of work; kinds that are not listed have only a detail."""

_ENDS = {
    End.DECIDED: "nothing is contested",
    End.EXHAUSTED: "search space exhausted: all designs evaluated",
    End.FINISHED: "finished",
    End.FLAGGED: "the remaining contested designs have flagged readings",
    End.NOT_REFINABLE: "no objective in which contested designs overlap can be measured again",
    End.SAMPLE_LIMIT: "trial limit reached: the sampler repeats designs",
    End.TIED: "no further measurement can separate the remaining contested designs "
    "(statistically tied)",
    End.TIMEOUT: "time budget exhausted",
}
"""Description of each reason for which a search or a refinement ends."""


def event_text(event: Event) -> str:
    """Describe an event.

    Args:
        event: The event.

    Returns:
        Such as "training with seed 1" or "timing 8 designs".
    """
    if event.end is not None:
        return end_text(event.end)
    parts = [_WORK.get(event.kind, ""), current_subject(), event.detail]
    if event.designs > 1:
        parts.append(f"{event.designs} designs")
    if event.seed is not None:
        parts.append(f"with seed {event.seed}")
    return " ".join(filter(None, parts))


def end_text(end: End) -> str:
    """Describe why a search or a refinement ended.

    Args:
        end: The reason.

    Returns:
        Such as "time budget exhausted".
    """
    return _ENDS[end]


def describe(step: Activity) -> str:
    """Describe an activity in one line.

    Args:
        step: The activity.

    Returns:
        Such as "training #5, epoch 3 of 30, 12 min left".
    """
    parts = [event_text(step.event)]
    if step.total is not None and step.unit:
        number = min(int(step.done) + 1, int(step.total))
        parts.append(f"{step.unit} {number:,} of {step.total:,.0f}")
    elif step.total:
        parts.append(f"{step.done / step.total:.0%}")
    elif step.event.fraction is not None:
        parts.append(f"{step.event.fraction:.0%}")
    if (left := step.seconds_left) is not None:
        parts.append(f"{duration(left)} left")
    # A name may contain text from data or a URL.
    return without_url_password(printable(", ".join(parts)))


def duration(seconds: float) -> str:
    """Format a duration with a suitable unit.

    Args:
        seconds: Duration in seconds.

    Returns:
        Such as "40 s", "12 min" or "3.5 h".
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


@contextmanager
def working(name: str, first_seconds: float = FIRST_SECONDS) -> Iterator[OnStatus]:
    """Show the current activity until the context ends.

    Args:
        name: Description of the work, shown unless a more specific activity is active.
        first_seconds: Seconds before the first line about a step in a pipe.

    Yields:
        Function that replaces the description by that of an event.
    """
    out = console(stderr=True)
    command = activity(Kind.COMMAND, detail=name)
    with command as whole, displaying(out), _display(out, first_seconds):
        yield whole.change


class SearchProgress:
    """Display of the progress of a search, whose `report` is passed to `search`."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._context = ExitStack()
        self._last: SearchState | None = None
        self._printed = (-1, 0)
        self._noted = 0

    def __enter__(self) -> "SearchProgress":
        self._whole = self._context.enter_context(activity(Kind.STARTING))
        self._context.enter_context(displaying(self._console))
        if self._console.is_terminal:
            self._bar = _search_bar(self._console)
            self._task = self._bar.add_task("", total=None, front="0", visible=False)
            self._context.enter_context(self._bar)
        else:
            self._context.enter_context(_Lines(self._console, FIRST_SECONDS))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.close()
        if self._last is not None and error is None:
            self._console.print(summary(self._last), soft_wrap=True)

    @property
    def flagged(self) -> int:
        """The number of flagged latencies that are relevant for the front, as last reported."""
        return 0 if self._last is None else self._last.flagged

    def report(self, progress: "SearchState") -> None:
        """Update the display.

        Args:
            progress: State of the search.
        """
        self._last = progress
        self._whole.change(progress.event)
        for note in progress.notes[self._noted :]:
            self._console.print(note, soft_wrap=True)
        self._noted = len(progress.notes)
        if not self._console.is_terminal:
            self._print_sometimes(progress)
            return
        self._bar.update(
            self._task,
            completed=progress.complete,
            total=progress.trials,
            front=f"{progress.front}{_failed(progress)}",
            visible=True,
        )

    def _print_sometimes(self, progress: "SearchState") -> None:
        # Failures are reported at doubling intervals, even if no design is completed.
        failed = progress.counts.get(TrialState.FAILED, 0).bit_length()
        step = progress.complete * LINES // progress.trials, failed
        if step != self._printed:
            self._printed = step
            done = f"{progress.complete}/{progress.trials} designs"
            dated(self._console, f"{done}, {progress.front} on the front{_failed(progress)}")


def _failed(progress: "SearchState") -> str:
    """Return the number of failed trials as the end of a line; empty if there are none."""
    failed = progress.counts.get(TrialState.FAILED, 0)
    return f", {failed} failed" if failed else ""


def _search_bar(out: Console) -> Progress:
    return Progress(
        TextColumn("{task.completed:.0f}/{task.total:.0f} designs"),
        BarColumn(bar_width=None),
        TimeRemainingColumn(),
        TextColumn("left · front {task.fields[front]} ·"),
        _Description(),
        console=out,
        expand=True,
    )


class _Description(ProgressColumn):
    """The current activity, next to the bar of a search."""

    def render(self, task: Task) -> Text:
        step = current()
        return Text("" if step is None else describe(step), overflow="ellipsis", no_wrap=True)


def _display(out: Console, first_seconds: float) -> AbstractContextManager[object]:
    """Display the current activity until the context ends."""
    if out.is_terminal:
        return Live(get_renderable=_line, console=out, refresh_per_second=8, transient=True)
    return _Lines(out, first_seconds)


def _line() -> RenderableType:
    """Render the current activity: a bar, which pulses without a total, and a description."""
    step = current()
    if step is None:
        return Text()
    grid = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=step.total, completed=step.done, width=BAR)
    grid.add_row(bar, Text(describe(step), overflow="ellipsis", no_wrap=True))
    return grid


class _Lines:
    """A thread that prints dated lines about activities that take long."""

    def __init__(self, out: Console, first_seconds: float) -> None:
        self._out, self._first = out, first_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Lines":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        # The last interval of each active step that was shown.
        intervals: dict[tuple[Event, float], float] = {}
        wait = self._first
        while not self._over.wait(wait):
            steps = {(step.event, step.started): step for step in active()}
            now = time.monotonic()
            old = [key for key in steps if now - key[1] >= self._first]
            if not old:
                wait = self._first - max((now - began for _, began in steps), default=0.0)
                continue
            # The innermost of the steps that take long; it may contain many short ones.
            shown = old[-1]
            # The longer a step takes, the less often it is reported.
            wait = min(2 * intervals.get(shown, self._first), LAST_SECONDS)
            intervals = {key: last for key, last in intervals.items() if key in steps}
            intervals[shown] = wait
            step = steps[shown]
            try:
                dated(self._out, describe(step))
            except BrokenPipeError:
                # The main thread gets the same error and ends the process.
                return


def dated(out: Console, text: str) -> None:
    """Print a line preceded by the date and time.

    Args:
        out: Console to print to.
        text: The line.
    """
    out.print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}", soft_wrap=True)


def summary(progress: "SearchState") -> str:
    """Describe how a search ended.

    Args:
        progress: Last state of the search.

    Returns:
        The reason for the end, and the number of trials by state.
    """
    return f"{event_text(progress.event)}: {counted_states(progress.counts) or 'no trials'}"


def flagged_note(flagged: int) -> str:
    """Describe how many latencies should be measured again.

    Args:
        flagged: Number of flagged latencies of designs that may be on the front.

    Returns:
        A sentence without full stop.
    """
    latencies = "latency is" if flagged == 1 else "latencies are"
    return f"{flagged} Pareto-relevant {latencies} flagged (unconverged or noisy)"
