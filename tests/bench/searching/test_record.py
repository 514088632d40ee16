"""Records of searches on disk."""

from pathlib import Path

import pytest

from dsx.bench.searching.record import Record, read_numbers, write_numbers
from dsx.errors import WorkFailed
from tests.bench.searching.records import found, record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = record("dsx screening", found("base", 0.9, 100.0, 1.0), found("a", 0.8, 5.0, 2.0))
    file = tmp_path / "folder" / "record.json"
    assert Record.read(file) is None
    written.write(file)
    read = Record.read(file)
    assert read is not None and list(read.found) == list(written.found)
    assert (read.cpu, read.stages, read.facts) == (written.cpu, written.stages, written.facts)


def test_numbers_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "numbers.json"
    assert read_numbers(file) is None
    write_numbers(file, {"a": 1.5, "b": 2.0})
    assert read_numbers(file) == {"a": 1.5, "b": 2.0}


@pytest.mark.parametrize("content", ["", "[1]", '{"found": 3}', '{"found": [{"id": 1}]}'])
def test_a_damaged_file_is_reported(tmp_path: Path, content: str) -> None:
    file = tmp_path / "record.json"
    file.write_text(content)
    with pytest.raises(WorkFailed, match=r"record\.json cannot be read \(delete it\)"):
        Record.read(file)
    if "found" not in content:
        with pytest.raises(WorkFailed, match=r"record\.json cannot be read \(delete it\)"):
            read_numbers(file)
