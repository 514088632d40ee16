"""Plain values that weight files contain in addition to tensors, read without running any code.

The unpickler of torch supports tensors and containers only, but training scripts also store numbers
of numpy, dates and paths. Each name below refers to a class or function that only builds such a
value. Values of numpy are built here, since the functions of numpy trust their arguments.
"""

import argparse
import datetime
import decimal
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np

_NUMBER = re.compile(r"b1|[iu][1248]|f[248]|c8|c16")
_ORDERS = ("<", ">", "=", "|")


class NumpyValue:
    """Value of numpy whose content is not read: an array, a date, or a class of numbers."""

    def __init__(self, *_content: object) -> None:
        """Ignore the content."""

    def __setstate__(self, state: object) -> None:
        """Ignore the state, which may hold the content of an array."""


class NumpyDtype:
    """Dtype of numpy, used only to read numbers.

    Args:
        code: Code of the dtype, such as `f8`.
    """

    def __init__(self, code: object = None, *_flags: object) -> None:
        self.code = code if isinstance(code, str) and _NUMBER.fullmatch(code) else None
        self.order = "="

    def __setstate__(self, state: object) -> None:
        """Set the byte order; the rest of the state concerns dtypes that are not read."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in _ORDERS:
            self.order = state[1]


def _scalar(dtype: object = None, content: object = None) -> object:
    """Build a number of numpy from its bytes."""
    if not (isinstance(dtype, NumpyDtype) and dtype.code and isinstance(content, bytes)):
        return NumpyValue()
    return np.frombuffer(content, dtype.order + dtype.code, count=1)[0]


def _array(*_content: object) -> NumpyValue:
    return NumpyValue()


def _plain_dict(*_factory: object) -> dict[object, object]:
    return {}


_NUMPY_CLASSES = (
    "bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip
_BUILDERS: dict[str, Callable[..., Any]] = {
    "argparse.Namespace": argparse.Namespace,
    "types.SimpleNamespace": argparse.Namespace,
    "collections.defaultdict": _plain_dict,
    "builtins.bool": bool,
    "builtins.bytes": bytes,
    "builtins.dict": dict,
    "builtins.float": float,
    "builtins.frozenset": frozenset,
    "builtins.int": int,
    "builtins.list": list,
    "builtins.range": range,
    "builtins.slice": slice,
    "builtins.str": str,
    "builtins.tuple": tuple,
    "datetime.date": datetime.date,
    "datetime.datetime": datetime.datetime,
    "datetime.time": datetime.time,
    "datetime.timedelta": datetime.timedelta,
    "datetime.timezone": datetime.timezone,
    "decimal.Decimal": decimal.Decimal,
    "numpy.dtype": NumpyDtype,
    "numpy.ndarray": NumpyValue,
    "torch.torch_version.TorchVersion": str,
}
PLAIN_VALUES: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((builder, name) for name, builder in _BUILDERS.items()),
    *((NumpyValue, f"numpy.{name}") for name in _NUMPY_CLASSES),
    # numpy 2 and numpy 1 have these functions under different names.
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("_core", "core")),
    *((_array, f"numpy.{core}.multiarray._reconstruct") for core in ("_core", "core")),
    # Paths without file access; some versions of Python pickle them under another name.
    *(
        (getattr(pathlib, f"Pure{kind}"), f"{module}.{pure}{kind}")
        for module in ("pathlib", "pathlib._local")
        for pure in ("", "Pure")
        for kind in ("PosixPath", "WindowsPath")
    ),
]
"""Builders that `torch.load` may call, each with its name in the files."""
