"""The files of an archive are replaced together; the next run completes an interrupted one."""

import json
from pathlib import Path

import pytest

from dsx.errors import DsxError
from dsx.files.ownership import signed
from dsx.report.studies.files import RECORD, check, write

NAMES = "a.csv", "b.md"


def contents(text: str) -> dict[str, bytes]:
    return {name: f"{text} {name}".encode() for name in NAMES}


def found(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).exists()}


def test_the_record_lists_the_files(tmp_path: Path) -> None:
    write(tmp_path / "x" / "y", contents("first"), {"study": "s"})
    record = json.loads((tmp_path / "x" / "y" / RECORD).read_text())
    assert (record["study"], list(record["files"])) == ("s", list(NAMES))
    assert "replaced" not in record
    assert found(tmp_path / "x" / "y") == contents("first")


@pytest.mark.parametrize("name", [*NAMES, RECORD])
def test_a_changed_file_prevents_the_replacement_of_all_files(name: str, tmp_path: Path) -> None:
    write(tmp_path, contents("first"), {"study": "s"})
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes().replace(b"s", b"S"))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    problem = rf"^'.*/{name}' exists, and dsx did not write it or it was changed since"
    with pytest.raises(DsxError, match=problem):
        check(tmp_path, NAMES)
    with pytest.raises(DsxError, match=problem):
        write(tmp_path, contents("second"), {"study": "s"})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_signed_file_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(signed(b"<svg/>"))
    write(tmp_path, contents("first"), {})
    assert found(tmp_path) == contents("first")


def test_a_missing_file_is_written_again(tmp_path: Path) -> None:
    write(tmp_path, contents("first"), {})
    (tmp_path / "a.csv").unlink()
    write(tmp_path, contents("second"), {})
    assert found(tmp_path) == contents("second")
