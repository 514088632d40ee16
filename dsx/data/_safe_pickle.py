"""Unpickling of arrays without running code."""

import pickle
from collections.abc import Callable
from typing import IO, Any

import numpy as np

_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]  # its module depends on the version of numpy


def _dtype(name: str, align: object = False, copy: object = True) -> "np.dtype[Any]":
    # Old pickles contain 0 instead of False, for which newer versions of numpy warn.
    return np.dtype(name, align=bool(align), copy=bool(copy))


def _latin1(text: str, encoding: str) -> bytes:
    """Return bytes that Python 3 has pickled as Latin-1 text for Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes are encoded as {encoding}")
    return text.encode("latin-1")


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _latin1,
}
"""Everything that pickled arrays require; none of it runs code or accesses files or networks."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Reject everything except arrays."""
        if (module_name, global_name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it requires {module_name}.{global_name}")
        return ALLOWED[module_name, global_name]


def read_arrays(stream: IO[bytes]) -> object:
    """Unpickle arrays, lists, dicts, numbers and strings.

    Args:
        stream: Stream of a pickle of Python 2 or 3; strings of Python 2 become bytes.

    Returns:
        The unpickled object.

    Raises:
        pickle.UnpicklingError: If the pickle requires anything else, which is not run. Damaged
            pickles may raise other exceptions.
    """
    return _ArrayUnpickler(stream, encoding="bytes").load()
