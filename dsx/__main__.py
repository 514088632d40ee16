"""The `dsx` command: runs the command line and ends with a defined exit code in every case."""

import os
import sys

# `python -m dsx`, or an empty entry of PYTHONPATH, would import modules from the current folder,
# which may contain any files. A checkout of dsx that is not installed stays on the path.
if (
    __name__ == "__main__"
    and not sys.flags.safe_path
    and __file__ != f"{sys.path[0]}/dsx/__main__.py"
):
    sys.path.pop(0)
if "" in os.environ.get("PYTHONPATH", "-").split(os.pathsep):
    # Not pathlib, which could be imported from the current folder as well.
    here = os.getcwd()  # noqa: PTH109
    if here in sys.path and __file__ != f"{here}/dsx/__main__.py":
        sys.path.remove(here)

import _thread
import select
import signal
import threading
import traceback
from types import FrameType, TracebackType

from dsx.errors import WorkFailed
from dsx.streams import guard

RETRY_SECONDS = 0.01
CLOSED_PIPE = 128 + signal.SIGPIPE
"""Exit code of a process that ended because of a closed pipe."""


class _Stop:
    """A signal handler that interrupts this process and records that it did."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt

    def unraisable(self, lost: "sys.UnraisableHookArgs") -> None:
        """Repeat an interrupt that was lost in the finalizer of an object.

        It is repeated after a delay, because it would be lost again in this function.

        Args:
            lost: Exception that Python could not raise.
        """
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(lost)
            return
        again = threading.Timer(RETRY_SECONDS, _thread.interrupt_main)
        again.daemon = True
        again.start()


def main() -> None:
    """Run the command line of this process and exit."""
    guard()
    stop = _Stop()
    sys.unraisablehook = stop.unraisable
    sys.excepthook = _print_traceback
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            # A shell lets processes in the background ignore the signal.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, stop)
        code = _run(stop)
    except BaseException:
        # Some libraries raise other errors if they are interrupted during an import.
        if not stop.asked:
            raise
        code = 130
    if code == 130:
        from dsx.cli import command_line, saves_measurements
        from dsx.errors import printable

        # Not shortened, so that it can be run.
        again = printable(command_line(*sys.argv[1:]))
        saved = saves_measurements(sys.argv[1:])
        done = "; all measurements are saved. To resume" if saved else ". To start again"
        print(f"dsx: interrupted{done}: {again}", file=sys.stderr)
    _flush()
    sys.exit(code)


def _run(stop: _Stop) -> int:
    from dsx.cli import State, run_command, show_log_messages
    from dsx.errors import DsxError
    from dsx.trust import restricted

    show_log_messages()
    state = State()
    try:
        # Only code that this command line names may be imported from outside dsx.
        with restricted(()):
            code = run_command(state)
        # Results are complete only once they have left this process.
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # A reader may close stdout early; if stderr is closed too, the work was cut short.
        return CLOSED_PIPE if _is_stderr_closed() else 0
    except DsxError as error:
        if stop.asked:
            # The interrupt was converted into another error.
            return 130
        if state.debug:
            raise
        _print_error(str(error))
        return error.exit_code


def _print_error(text: str) -> None:
    """Print one line to stderr, without control characters."""
    from dsx.errors import message_line

    print(f"dsx: {message_line(text)}", file=sys.stderr)


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    from dsx.secret import without_password

    text = "".join(traceback.format_exception(kind, error, trace))
    print(without_password(text), end="", file=sys.stderr)


def _is_stderr_closed() -> bool:
    """Check whether the reader of stderr has closed the pipe (`dsx search 2>&1 | head`)."""
    poll = select.poll()
    poll.register(2, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _flush() -> None:
    """Detect output that cannot be written (`| head -1`) before Python shuts down."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (BrokenPipeError, WorkFailed):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
