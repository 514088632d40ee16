"""dsx: explore the design space of efficient convolutions.

from dsx import search, front
from dsx.conv import ConvSpec, preset, build, from_conv2d, deploy
from dsx.space import slots, redesign, load_space
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsx.errors import DsxError
    from dsx.search.loop import search
    from dsx.space import load_space
    from dsx.store.studies.read import front

    __version__: str

__all__ = ["DsxError", "__version__", "front", "load_space", "search"]

_HOME = {
    "DsxError": "dsx.errors",
    "front": "dsx.store.studies.read",
    "load_space": "dsx.space",
    "search": "dsx.search.loop",
}


def __getattr__(name: str) -> object:
    # Importing torch takes a second: only who asks for a name pays for it.
    if name == "__version__":
        return _version()
    if name not in _HOME:
        raise AttributeError(f"module 'dsx' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


class _Package(ModuleType):
    """Module whose `search` stays the function: importing the package `dsx.search` would set it."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HOME or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dsx")
    except PackageNotFoundError:  # a checkout on the path that was never installed
        return "0+unknown"
