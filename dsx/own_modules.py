"""Import of the user's modules from the current folder, for the user's code only.

The current folder is not on `sys.path`, because files in it would shadow any optional package that
torch or optuna import if it is installed (a file `redis.py`, a folder `triton`). Instead, a finder
behind all others looks in the current folder for modules that an import path names, and for modules
that are imported by a module found in this way.

The finder stays in `sys.meta_path` for the rest of the process once an import path was used: a
module of the user may import another one at any later time, for example inside a function. It finds
no other modules.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType

_MACHINERY = {"importlib", "_frozen_importlib", "_frozen_importlib_external"}


class _CurrentFolder:
    """A finder for `sys.meta_path`."""

    def __init__(self) -> None:
        self.named: set[str] = set()
        self.found: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a top-level module; those inside a package are found by the package itself."""
        if path is not None or not (name in self.named or _importer() in self.found):
            return None
        # The folder that is current now, as the empty entry of sys.path is.
        spec = PathFinder.find_spec(name, [""])
        if spec is not None:
            self.found.add(name)
        return spec


def _importer() -> str:
    """Name the top-level module whose code asks for an import."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if name not in _MACHINERY:
            return name
        frame = frame.f_back
    return ""


_FINDER = _CurrentFolder()


def name_module(path: str) -> None:
    """Let a module be found in the current folder if it is not found on `sys.path`.

    Args:
        path: Dotted name of a module that the user named.
    """
    _FINDER.named.add(path.partition(".")[0])
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
