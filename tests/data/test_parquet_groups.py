"""Row groups are hashed and cached one by one, and sampled if there are too many rows."""

import json
import os
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from dsx.data import _duplicates, _parquet_groups, open_data
from dsx.data._digests import cache_file
from dsx.data._parquet_files import Columns, content_of, open_tables, read_group
from dsx.data._parquet_groups import Group, find_duplicate_rows
from dsx.errors import DsxError
from tests.data.writers import write_parquet


def write(file: Path, images: Sequence[str | None], group: int) -> Path:
    """Write a file in which each image is a word; all images are of one class."""
    content = [None if image is None else image.encode() for image in images]
    return write_parquet(file, [0] * len(images), content, group=group)


def words(start: str, count: int) -> list[str]:
    return [f"{start}{number}" for number in range(count)]


def notes(root: Path) -> list[str]:
    return list(open_data("parquet", {"root": str(root), "classes": 1}).inspect())


def cached(root: Path) -> dict[str, int]:
    """Return the number of digests in the cache, by row group."""
    content = json.loads(cache_file(root, "image").read_bytes())
    return {name: len(digests) for name, (_, _, digests) in content.items()}


def groups(file: Path) -> list[Group]:
    (table,), _ = open_tables(file, Columns(image="image", label="label"))
    return [Group(table=table, number=number) for number in range(len(table.groups))]


def test_each_row_group_is_hashed_and_cached_separately(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", words("a", 10), group=4)
    write(tmp_path / "val.parquet", ["a0", "b", None], group=2)
    write(tmp_path / "test.parquet", ["b", None, "a9"], group=5)
    expected = [
        "1 of the 3 validation images are also training images, 1 of the 3 test images are also "
        "training images, 1 of the 3 test images are also validation images"
    ]
    assert notes(tmp_path) == expected
    assert cached(tmp_path) == {
        "train.parquet%230": 4, "train.parquet%231": 4, "train.parquet%232": 2,
        "val.parquet%230": 2, "val.parquet%231": 1, "test.parquet%230": 3,
    }  # fmt: skip
    assert notes(tmp_path) == expected


def test_a_single_file_is_divided_and_compared(tmp_path: Path) -> None:
    file = write(tmp_path / "all.parquet", ["same"] * 20, group=3)
    assert notes(file)[0].startswith("2 of the 2 validation images are also training images, 2 of ")


def test_a_row_group_of_any_size_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pa.array([os.urandom(2**18) for _ in range(128)])
    table = pa.table([images, pa.array([0] * 128)], names=["image", "label"])
    file = tmp_path / "a.parquet"
    parquet.write_table(table, file, compression="none", use_dictionary=False, write_batch_size=1)
    (group,) = groups(file)
    before, seen = pa.total_allocated_bytes(), []

    def watched(value: Any) -> bytes | None:
        seen.append(pa.total_allocated_bytes() - before)
        return content_of(value)

    monkeypatch.setattr(_parquet_groups, "content_of", watched)
    tracemalloc.start()
    try:
        assert len(set(group.digests())) == 128
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
    assert max(seen) < 12 * 2**20
    # No row group is kept in the cache for decoding.
    assert not read_group.cache_info().currsize


def test_a_row_group_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", words("a", 30), group=10)
    tables, _ = open_tables(tmp_path, Columns(image="image", label="label"))
    parts = {"train": np.arange(10), "validation": np.arange(10, 20), "test": np.arange(20, 30)}
    content = bytearray(file.read_bytes())
    second = content.index(b"a10") - 40
    content[second : second + 20] = bytes(20)
    file.write_bytes(content)
    with pytest.raises(DsxError, match=f"^{file}: row group 1: cannot be read: ") as caught:
        find_duplicate_rows(tmp_path, tables, parts, 1)
    assert "\n" not in str(caught.value)


def test_a_row_group_with_a_wrong_number_of_rows_is_an_error(tmp_path: Path) -> None:
    (group,) = groups(write(tmp_path / "a.parquet", words("a", 2), group=10))
    with pytest.raises(OSError, match="has 2 rows instead of 3"):
        replace(group, table=replace(group.table, groups=[3])).digests()


@pytest.mark.parametrize("content", [None, b"", b"PAR1", bytes(5000)])
def test_a_file_that_changes_during_reading_is_an_error(
    content: bytes | None, tmp_path: Path
) -> None:
    file = write(tmp_path / "a.parquet", words("a", 30), group=10)
    *_, group = groups(file)
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(OSError, match=r"."):
        group.digests()


def test_the_metadata_of_a_file_are_read_once(tmp_path: Path) -> None:
    # Reading the metadata is slow if there are many row groups.
    file = write(tmp_path / "a.parquet", words("a", 30), group=10)
    *_, group = groups(file)
    expected = group.digests()
    # The metadata are at the end of the file.
    file.write_bytes(file.read_bytes()[:-50] + bytes(50))
    assert group.digests() == expected


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare at most 40 images completely, and sample 8 images of validation and of test."""
    for module in (_duplicates, _parquet_groups):
        monkeypatch.setattr(module, "LIMIT", 40)
        monkeypatch.setattr(module, "SAMPLE", 8)


@pytest.mark.usefixtures("small_limits")
def test_row_groups_are_sampled_as_the_note_states(tmp_path: Path) -> None:
    train = words("a", 100)
    write(tmp_path / "train.parquet", train, group=10)
    write(tmp_path / "val.parquet", train[:30], group=5)
    write(tmp_path / "test.parquet", words("t", 3), group=5)
    (note,) = notes(tmp_path)
    compared = "compared with a sample of 40 of the 100 training images"
    count, _, rest = note.partition(" ")
    assert rest == (
        f"of a sample of 8 of the 30 validation images are also training images ({compared}), "
        f"0 of the 3 test images are also training images ({compared})"
    )
    assert 0 <= int(count) <= 8
    known = cached(tmp_path)
    assert sum(name.startswith("train") for name in known) == 4
    assert sum(name.startswith("val") for name in known) == 2
    assert notes(tmp_path) == [note]
    assert cached(tmp_path) == known


@pytest.mark.usefixtures("small_limits")
def test_all_copies_are_found_in_the_sample(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        write(tmp_path / f"{part}.parquet", ["same"] * 60, group=7)
    (note,) = notes(tmp_path)
    assert note.startswith(
        "8 of a sample of 8 of the 60 validation images are also training images"
    )
    assert "8 of a sample of 8 of the 60 test images are also validation images (compared" in note
    assert sum(cached(tmp_path).values()) <= 40 + 8 + 8 + 3 * 7


@pytest.mark.usefixtures("small_limits")
def test_splits_in_the_same_row_groups_are_sampled_together(tmp_path: Path) -> None:
    file = write(tmp_path / "all.parquet", ["same"] * 200, group=10)
    (note,) = notes(file)
    compared = "are also training images (compared with a sample of 40 of the 160 training images)"
    assert note.startswith(f"8 of a sample of 8 of the 20 validation images {compared}")
    assert sum(cached(file).values()) <= 100
