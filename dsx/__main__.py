"""The `dsx` command: run the command line, and say in one line what a user can mend."""

import signal
import sys
from pathlib import Path


def main() -> None:
    """Run the command line of this process."""
    # A model may live in the folder dsx is called from, as with `python -m`.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    from dsx.cli import State, app
    from dsx.errors import DsxError

    state = State()
    # Whoever asks a search to stop, by whatever means, gets the same careful end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(obj=state)
    except DsxError as error:
        if state.debug:
            raise
        print(f"dsx: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
