"""Read pickled arrays without running what a pickle may ask for."""

import pickle
from collections.abc import Callable
from typing import IO, Any

import numpy as np

_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]  # numpy has moved it, and may again


def _dtype(name: str, align: object = False, copy: object = True) -> "np.dtype[Any]":
    # Old pickles say 0 for False, which newer NumPy does not like to hear.
    return np.dtype(name, align=bool(align), copy=bool(copy))


def _latin1(text: str, encoding: str) -> bytes:
    """Give back bytes: Python 3 writes them like this for Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes are written as {encoding}")
    return text.encode("latin-1")


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _latin1,
}
"""All that an array is made of; nothing of it runs code, opens files or reaches out."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Refuse everything but arrays."""
        if (module_name, global_name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")
        return ALLOWED[module_name, global_name]


def read_arrays(stream: IO[bytes]) -> object:
    """Read a pickle of arrays, lists, dictionaries, numbers and texts.

    Args:
        stream: Its bytes, from Python 2 or 3; texts of Python 2 become bytes.

    Returns:
        What was pickled.

    Raises:
        pickle.UnpicklingError: If it asks for anything else; nothing of that is run. Damaged
            bytes raise nearly anything.
    """
    return _ArrayUnpickler(stream, encoding="bytes").load()
