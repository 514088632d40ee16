"""The `dsx` command: run the command line, and end as a command should whatever happens."""

import os
import sys

# Anything may lie in the current folder, where `python -m dsx` looks before all other places, and
# Python too for an empty entry of PYTHONPATH. A checkout that is not installed has to stay.
if (
    __name__ == "__main__"
    and not sys.flags.safe_path
    and __file__ != f"{sys.path[0]}/dsx/__main__.py"
):
    sys.path.pop(0)
if "" in os.environ.get("PYTHONPATH", "-").split(os.pathsep):
    # No pathlib yet: it could be found there, too.
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

AGAIN_SECONDS = 0.01
UNHEARD = 128 + signal.SIGPIPE
"""Exit code of a process that a closed pipe has ended."""


class _Stop:
    """Remembers that somebody asked this process to stop, and sees to it that it does."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt

    def unraisable(self, lost: "sys.UnraisableHookArgs") -> None:
        """Ask again where the interrupt came while an object was cleaned up, and was lost there.

        Not at once: it would be lost in here. Databases clean up all the time.
        """
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(lost)
            return
        again = threading.Timer(AGAIN_SECONDS, _thread.interrupt_main)
        again.daemon = True
        again.start()


def main() -> None:
    """Run the command line of this process, and exit."""
    guard()
    stop = _Stop()
    sys.unraisablehook = stop.unraisable
    sys.excepthook = _print_traceback
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            # A shell script may have set its children to ignore it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, stop)
        code = _run(stop)
    except BaseException:
        # Stopped in the middle of an import, some libraries raise errors of their own.
        if not stop.asked:
            raise
        code = 130
    if code == 130:
        from dsx.cli import command_line, saves_measurements
        from dsx.errors import printable

        # Not shortened: it is to be run.
        again = printable(command_line(*sys.argv[1:]))
        saved = saves_measurements(sys.argv[1:])
        done = "; everything measured is saved. To go on" if saved else ". To start again"
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
        # Nothing outside dsx is imported but what this call names.
        with restricted(()):
            code = run_command(state)
        # Results are complete only if they have left this process.
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the results has read enough. But without its progress work stops on the way.
        return UNHEARD if _unheard() else 0
    except DsxError as error:
        if stop.asked:
            # What the interrupt broke was taken for something else on its way up.
            return 130
        if state.debug:
            raise
        _complain(str(error))
        return error.exit_code


def _complain(text: str) -> None:
    """Print one line to stderr; names in it cannot break the line or command the terminal."""
    from dsx.errors import message_line

    print(f"dsx: {message_line(text)}", file=sys.stderr)


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    from dsx.secret import without_password

    text = "".join(traceback.format_exception(kind, error, trace))
    print(without_password(text), end="", file=sys.stderr)


def _unheard() -> bool:
    """Say whether nobody reads stderr any more (`dsx search 2>&1 | head`)."""
    poll = select.poll()
    poll.register(2, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _flush() -> None:
    """Find out now, not while Python shuts down, that output cannot be written (`| head -1`)."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (BrokenPipeError, WorkFailed):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
