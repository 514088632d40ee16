"""Values that weight files contain in addition to tensors are read without running code."""

import argparse
import collections
import datetime
import decimal
import functools
import importlib
import operator
import pathlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dsx.errors import DsxError
from dsx.space.weights import plain_values
from dsx.space.weights.plain_values import PLAIN_VALUES, NumpyDtype, NumpyValue
from dsx.space.weights.pretrained import read_weights

STATE = {"conv.weight": torch.ones(2)}
NUMBERS = [
    np.float64(0.1), np.float32(0.5), np.float16(2), np.int64(-3), np.int8(-1), np.uint16(7),
    np.bool_(True), np.complex64(1j), np.array(3.0, ">f8")[()],
]  # fmt: skip
VALUES: dict[str, object] = {
    "date": datetime.date(2026, 1, 2),
    "datetime": datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC),
    "timedelta": datetime.timedelta(hours=1),
    "decimal": decimal.Decimal("0.1"),
    "bytes": b"",
    "range": range(3),
    "frozenset": frozenset({1}),
    "class": float,
    "default": collections.defaultdict(list, a=[1]),
}
UNREAD: dict[str, object] = {
    "array": np.arange(3.0),
    "array of objects": np.array([None, "a"], object),
    "state of random numbers": np.random.RandomState(0).get_state(),
    "string of numpy": np.str_("a"),
    "date of numpy": np.datetime64("2026-01-02"),
    "dtype": np.dtype("float32"),
    "class of numpy": np.float32,
    "path": Path("a") / "b",
    "Windows path": pathlib.PureWindowsPath("a"),
    "version": torch.__version__,
    "namespace": types.SimpleNamespace(lr=np.float64(0.1)),
    "arguments": argparse.Namespace(when=datetime.date(2026, 1, 2)),
}


def loaded(value: object, folder: Path, *, zipped: bool = True) -> object:
    """Read a value with the settings for weight files."""
    torch.save(value, folder / "v.pt", _use_new_zipfile_serialization=zipped)
    with torch.serialization.safe_globals(PLAIN_VALUES):
        return torch.load(folder / "v.pt", weights_only=True)


@pytest.mark.parametrize("zipped", [True, False])
def test_numpy_numbers_keep_their_value(zipped: bool, tmp_path: Path) -> None:
    found = loaded(NUMBERS, tmp_path, zipped=zipped)
    assert found == NUMBERS
    assert isinstance(found, list)
    assert [type(number) for number in found] == [type(number) for number in NUMBERS]


@pytest.mark.parametrize("name", VALUES)
def test_values_of_the_standard_library_keep_their_value(name: str, tmp_path: Path) -> None:
    assert loaded(VALUES[name], tmp_path) == VALUES[name]


@pytest.mark.parametrize("name", UNREAD | VALUES)
def test_a_state_dict_next_to_other_values_is_read(name: str, tmp_path: Path) -> None:
    value = (UNREAD | VALUES)[name]
    torch.save({"net": STATE, "hyper_parameters": {"a": value, "b": [value]}}, tmp_path / "w.pth")
    state = read_weights(str(tmp_path / "w.pth"))
    assert state.key == "net"
    assert torch.equal(state["conv.weight"], STATE["conv.weight"])


def test_numpy_counters_next_to_averages_are_read(tmp_path: Path) -> None:
    torch.save({**STATE, "decay": np.float64(0.99)}, tmp_path / "w.pth")
    assert read_weights(str(tmp_path / "w.pth")).keys() == {"conv.weight", "decay:encoded"}


class Reduced:
    """Object that is pickled as a function call."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


CALLS: list[tuple[Callable[..., Any], tuple[object, ...]]] = [
    (eval, ("1",)),
    (getattr, ("a", "upper")),
    (__import__, ("os",)),
    (open, ("f",)),
    (type, ("T", (), {})),
    (importlib.import_module, ("os",)),
    (functools.partial, (print, "a")),
    (operator.attrgetter("upper"), ()),
    (Path.touch, (Path("f"),)),
    (np.load, ("f",)),
    (np.frombuffer, (b"12345678",)),
    (np.vectorize, (print,)),
]


@pytest.mark.parametrize(
    ("function", "arguments"),
    CALLS,
    ids=[getattr(f, "__qualname__", type(f).__name__) for f, _ in CALLS],
)
def test_calls_of_other_functions_are_rejected(
    function: Callable[..., Any], arguments: tuple[object, ...], tmp_path: Path
) -> None:
    torch.save({"net": STATE, "a": Reduced(function, *arguments)}, tmp_path / "w.pth")
    with pytest.raises(DsxError, match=r"w\.pth: contains more than tensors, or is damaged"):
        read_weights(str(tmp_path / "w.pth"))


def test_pickled_paths_give_no_file_access(tmp_path: Path) -> None:
    found = loaded(Path("a") / "b", tmp_path)
    assert found == pathlib.PurePosixPath("a/b")
    assert not isinstance(found, Path)


@pytest.mark.parametrize("code", ["O8", "V9", "f8,f8", "f16", "M8", "(99,)f8", 8, None])
def test_only_dtypes_of_numbers_are_built(code: object) -> None:
    dtype = NumpyDtype(code, False, True)
    dtype.__setstate__((3, "<", None, ("a",), {"a": (1, 2)}, 1 << 40, 1, 0))
    assert isinstance(plain_values._scalar(dtype, b"12345678"), NumpyValue)


def test_the_bytes_of_a_number_are_not_overrun() -> None:
    with pytest.raises(ValueError, match="buffer"):
        plain_values._scalar(NumpyDtype("f8"), b"1234")
