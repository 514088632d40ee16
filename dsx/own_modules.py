"""Imports of user modules from the current folder, for user code only.

The current folder is not on `sys.path`, since its files would shadow optional packages that torch
or optuna look for but that are not installed (a file `redis.py`, a folder `triton`). Instead, a
finder after all others searches the current folder for modules that an import path names, and for
modules that are imported by a module found in this way.

The finder remains in `sys.meta_path` for the rest of the process once an import path was used,
since a user module may import another one at any later time, for example inside a function. It
finds no other modules.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType

_MACHINERY = {"importlib", "_frozen_importlib", "_frozen_importlib_external"}


class _CurrentFolder:
    """Finder for `sys.meta_path` that searches the current folder."""

    def __init__(self) -> None:
        self.named: set[str] = set()
        self.found: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a top-level module; submodules are found by their package.

        Args:
            name: Name of the module.
            path: Search path of the parent package; None for a top-level module.
            target: Module to be reloaded, which is not used.

        Returns:
            The spec of the module; None if it is not found or not imported by user code.
        """
        if path is not None or not (name in self.named or _importer() in self.found):
            return None
        # An empty entry means the current folder at the time of the import, as in sys.path.
        spec = PathFinder.find_spec(name, [""])
        if spec is not None:
            self.found.add(name)
        return spec


def _importer() -> str:
    """Return the name of the top-level module whose code runs the import."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if name not in _MACHINERY:
            return name
        frame = frame.f_back
    return ""


_FINDER = _CurrentFolder()


def name_module(path: str) -> None:
    """Allow a module to be found in the current folder if it is not on `sys.path`.

    Args:
        path: Dotted name of a module that the user has named.
    """
    _FINDER.named.add(path.partition(".")[0])
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
