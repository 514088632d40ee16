"""Digests are computed once for each content, as determined by size and modification time."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dsx.activity import Kind, current
from dsx.data._digests import cache_file, cached_digests
from dsx.errors import DsxError


@dataclass(frozen=True)
class OneFile:
    """File of a dataset; its text is its path."""

    path: Path
    name: str
    size: int
    modified: int
    images: int = 1

    @classmethod
    def of(cls, path: Path) -> "OneFile":
        found = path.stat()
        return cls(path, path.name, found.st_size, found.st_mtime_ns)

    def __str__(self) -> str:
        return str(self.path)


def digests(root: Path, of: str = "") -> tuple[list[str], list[str]]:
    """Return the digests of all files of a folder, and the names of those that were read."""
    read = []

    def compute(file: OneFile) -> list[str]:
        read.append(file.name)
        return [file.path.read_bytes().hex()]

    given = [OneFile.of(path) for path in sorted(root.iterdir())]
    return [own for (own,) in cached_digests(root, given, compute, 2, of)], sorted(read)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write three files into a folder."""
    for number in range(3):
        (tmp_path / f"{number}").write_bytes(bytes([number]))
    return tmp_path


ALL = (["00", "01", "02"], ["0", "1", "2"])


def test_cached_files_are_not_read_again(root: Path) -> None:
    assert digests(root) == ALL
    assert digests(root) == (ALL[0], [])
    # Nothing is written into the folder of the data.
    assert len(list(root.iterdir())) == 3


def test_a_changed_size_or_modification_time_invalidates_the_cache(root: Path) -> None:
    digests(root)
    times = (root / "1").stat()
    (root / "1").write_bytes(b"\1\1")
    os.utime(root / "1", ns=(times.st_atime_ns, times.st_mtime_ns))
    (root / "2").write_bytes(b"\7")
    os.utime(root / "2", ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    assert digests(root) == (["00", "0101", "07"], ["1", "2"])


def test_one_file_may_have_several_kinds_of_digests(root: Path) -> None:
    digests(root)
    assert digests(root, of="thumbnail") == ALL


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"0": [1]}', b"\xff", b'{"0": 1}'])
def test_a_damaged_cache_is_replaced(content: bytes, root: Path) -> None:
    digests(root)
    cache_file(root).write_bytes(content)
    assert digests(root) == ALL
    assert digests(root) == (ALL[0], [])


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_entry_with_another_number_of_digests_is_unknown(number: int, root: Path) -> None:
    file = replace(OneFile.of(root / "1"), images=2)
    cached_digests(root, [file], lambda _: ["a", "b"], 1)
    assert cached_digests(root, [file], lambda _: [], 1) == [["a", "b"]]
    content = json.loads(cache_file(root).read_bytes())
    content["1"][2] = ["c"] * number
    cache_file(root).write_text(json.dumps(content))
    assert cached_digests(root, [file], lambda _: ["a", "b"], 1) == [["a", "b"]]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
def test_digests_computed_before_an_error_are_cached(
    error: type[BaseException], root: Path
) -> None:
    def compute(file: OneFile) -> list[str]:
        if file.name == "2":
            raise error("no")
        return [file.name]

    given = [OneFile.of(path) for path in sorted(root.iterdir())]
    with pytest.raises((error, DsxError), match=r"^no$|/2: cannot be read: no$"):
        cached_digests(root, given, compute, 1)
    assert list(json.loads(cache_file(root).read_bytes())) == ["0", "1"]
    assert cached_digests(root, given[:2], lambda _: [], 1) == [["0"], ["1"]]


def test_queued_work_is_cancelled_after_an_error(root: Path) -> None:
    started = []

    def compute(file: OneFile) -> list[str]:
        started.append(file)
        raise OSError("no")

    given = [replace(OneFile.of(root / "1"), name=str(number)) for number in range(500)]
    with pytest.raises(DsxError, match="/1: cannot be read: no"):
        cached_digests(root, given, compute, 1)
    assert len(started) < 500


def test_the_number_of_compared_images_is_announced(root: Path) -> None:
    seen = []

    def compute(file: OneFile) -> list[str]:
        shown = current()
        assert shown is not None
        seen.append((shown.event.kind, shown.total, shown.unit, shown.done))
        return ["a"] * file.images

    given = [replace(OneFile.of(path), images=2) for path in sorted(root.iterdir())]
    cached_digests(root, given, compute, 1, chunk=2)
    # The first two files are in one chunk.
    assert seen[2] == (Kind.COMPARING_IMAGES, 6, "image", 4)
    assert current() is None
    cached_digests(root, given, compute, 1)
    assert len(seen) == 3


def test_digests_are_computed_again_if_the_cache_cannot_be_written(root: Path) -> None:
    cache_file(root).mkdir(parents=True)
    assert digests(root) == ALL
    assert digests(root) == ALL


def test_a_name_that_is_not_utf8_is_cached(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).write_bytes(b"a")
    assert digests(tmp_path)[0] == ["61"]
    assert digests(tmp_path) == (["61"], [])


def test_a_missing_file_is_named(root: Path) -> None:
    gone = OneFile(root / "gone", "gone", 1, 1)
    with pytest.raises(DsxError, match=r"^.*/gone: cannot be read: No such file or directory$"):
        cached_digests(root, [gone], lambda file: [file.path.read_text()], 1)
