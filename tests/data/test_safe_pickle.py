"""Arrays are unpickled without running code."""

import io
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsx.data._safe_pickle import read_arrays

TABLE = np.arange(6000, dtype=np.uint8).reshape(2, 3000)


def read(content: bytes) -> object:
    return read_arrays(io.BytesIO(content))


@pytest.mark.parametrize("protocol", range(5))  # protocol 5 pickles arrays differently
@pytest.mark.parametrize("table", [TABLE, TABLE.T, TABLE[:, :5], TABLE.astype(np.int64)])
def test_arrays_of_python_3_are_read(protocol: int, table: np.ndarray[Any, Any]) -> None:
    found: Any = read(pickle.dumps({"data": table, "labels": [1, 2]}, protocol))
    assert set(found) == {"data", "labels"}
    assert found["data"].dtype == table.dtype
    assert (found["data"] == table).all()
    assert found["labels"] == [1, 2]


class Asks:
    """Object that is pickled as a function call."""

    def __init__(self, called: Callable[..., object], *arguments: object) -> None:
        self.call = called, arguments

    def __reduce__(self) -> Any:
        return self.call


def harm(marker: Path) -> list[object]:
    """Return objects that write a file when they are unpickled."""
    code = f"open({str(marker)!r}, 'w')"
    return [
        Asks(os.system, f"touch {marker}"),
        Asks(eval, code),
        Asks(exec, code),
        Asks(open, str(marker), "w"),
        Asks(getattr, TABLE, "tofile"),
        Asks(np.save, str(marker), TABLE),
        Asks(np.fromfile, str(marker)),
        Asks(__import__, "this"),
        [TABLE, {"data": Asks(os.mkdir, str(marker))}],
    ]


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_other_calls_are_rejected(
    number: int, protocol: int, tmp_path: Path
) -> None:  # fmt: skip
    content = pickle.dumps(harm(tmp_path / "marker")[number], protocol)
    with pytest.raises(pickle.UnpicklingError, match=r"^it requires \w+"):
        read(content)
    assert not list(tmp_path.iterdir())
    assert "this" not in sys.modules


def test_the_attack_itself_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(harm(tmp_path / "marker")[0]))
    assert (tmp_path / "marker").exists()


def test_dotted_names_are_rejected() -> None:
    content = pickle.dumps(Asks(np.random.RandomState.__init__), 4)
    with pytest.raises(pickle.UnpicklingError, match=r"^it requires "):
        read(content)


def test_only_the_codec_latin1_is_used() -> None:
    content = b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR."
    with pytest.raises(pickle.UnpicklingError, match=r"^bytes are encoded as hex$"):
        read(content)
    assert read(content.replace(b"X\x03\x00\x00\x00hex", b"X\x06\x00\x00\x00latin1")) == b"a"


def test_strings_of_python_2_are_bytes() -> None:
    assert read(b"\x80\x02U\x02\xff\x00.") == b"\xff\x00"
