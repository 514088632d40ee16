"""Walks over folders with cycles, links and special files."""

import os
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from dsx.activity import Kind, current
from dsx.data.folders.walk import BROKEN, REPEATED, Walk
from dsx.errors import DsxError


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def walk(root: Path, *folders: str) -> tuple[list[list[str]], dict[str, int]]:
    """List the .jpg files of some folders of a root, and count what was skipped."""
    own = Walk(root)
    names = [[file.name for file in files] for files in own.files(folders, {".jpg"})]
    return names, {kind: len(skipped) for kind, skipped in own.skipped.items()}


def test_files_come_before_folders_in_alphabetical_order(tmp_path: Path) -> None:
    write(tmp_path, "a/b/1.jpg", "a/B/1.jpg", "a/z.jpg", "a/b.jpg", "a/b/c/0.JPG", "a/n.txt")
    names = ["a/b.jpg", "a/z.jpg", "a/B/1.jpg", "a/b/1.jpg", "a/b/c/0.JPG"]
    assert walk(tmp_path, "a") == ([names], {})


@pytest.mark.parametrize("target", [".", "..", "../..", "../b", "b", "b/c", "/"])
def test_a_link_to_a_folder_that_is_read_is_skipped(target: str, tmp_path: Path) -> None:
    root = write(tmp_path / "x" / "root", "a/1.jpg", "a/b/2.jpg", "a/b/c/3.jpg", "b/4.jpg")
    (root / "a" / "0").symlink_to(target)
    names = [["a/1.jpg", "a/b/2.jpg", "a/b/c/3.jpg"], ["b/4.jpg"]]
    assert walk(root, "a", "b") == (names, {REPEATED: 1})


def test_many_links_that_form_cycles_take_no_time(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg", "a/b/2.jpg")
    for number in range(10):
        (tmp_path / "a" / f"{number}").symlink_to(".")
        (tmp_path / "a" / "b" / f"{number}").symlink_to("..")
    assert walk(tmp_path, "a") == ([["a/1.jpg", "a/b/2.jpg"]], {REPEATED: 20})


def test_a_folder_outside_is_read_once(tmp_path: Path) -> None:
    root = write(tmp_path, "out/1.jpg", "out/in/2.jpg", "root/a/3.jpg", "root/b/4.jpg") / "root"
    (root / "a" / "first").symlink_to(tmp_path / "out")
    (root / "a" / "in").symlink_to(tmp_path / "out" / "in")
    (root / "b" / "again").symlink_to(tmp_path / "out")
    names, skipped = walk(root, "a", "b")
    assert names == [["a/3.jpg", "a/first/1.jpg", "a/first/in/2.jpg"], ["b/4.jpg"]]
    assert skipped == {REPEATED: 2}


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    write(tmp_path, "out/1.jpg", "a/2.jpg")
    (tmp_path / "a" / "3.jpg").symlink_to(tmp_path / "out" / "1.jpg")
    (tmp_path / "a" / "4.jpg").symlink_to("2.jpg")
    assert walk(tmp_path, "a") == ([["a/2.jpg", "a/3.jpg", "a/4.jpg"]], {})


def make_socket(path: Path) -> None:
    # The path of a socket is limited to about a hundred characters.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(before)


SPECIAL: list[tuple[str, Callable[[Path], None]]] = [
    ("FIFO", os.mkfifo),
    ("socket", make_socket),
    ("device", lambda path: path.symlink_to("/dev/zero")),
]


@pytest.mark.parametrize(("kind", "make"), SPECIAL)
def test_special_files_are_skipped_and_not_opened(
    kind: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path, "a/1.jpg")
    make(tmp_path / "a" / "2.jpg")
    make(tmp_path / "a" / "ignored.txt")
    assert walk(tmp_path, "a") == ([["a/1.jpg"]], {kind: 1})


BROKEN_TARGETS = ["/nowhere", "2.jpg", "1.jpg/inside", "x" * 300]


@pytest.mark.parametrize("target", BROKEN_TARGETS)
@pytest.mark.parametrize("name", ["2.jpg", "2", "2.txt"])
def test_broken_links_are_skipped(target: str, name: str, tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg")
    (tmp_path / "a" / name).symlink_to(target.replace("2.jpg", name))
    assert walk(tmp_path, "a") == ([["a/1.jpg"]], {BROKEN: 1})


@pytest.mark.parametrize("target", BROKEN_TARGETS)
def test_a_folder_that_is_a_broken_link_is_skipped(target: str, tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg", "1.jpg")
    (tmp_path / "b").symlink_to(target.replace("2.jpg", "b"))
    own = Walk(tmp_path)
    assert own.folders() == ["a"]
    assert str(own) == "skipped 1 broken link (b)"


def test_two_names_of_one_folder_are_rejected(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(DsxError, match=r"^.*/b: is the same folder as .*/a$"):
        walk(tmp_path, "a", "b")


@pytest.mark.parametrize("target", ["a/sub", "a/sub/deep", "outside"])
def test_a_folder_inside_another_is_rejected(target: str, tmp_path: Path) -> None:
    root = write(tmp_path, "root/a/1.jpg", "root/a/sub/deep/2.jpg") / "root"
    (root / "outside").symlink_to("a/sub")
    (root / "c").symlink_to(target)
    own = Walk(root)
    assert own.folders() == ["a", "c", "outside"]
    with pytest.raises(DsxError, match=f"^{root}/c: is inside {root}/a$"):
        own.files(["a", "c"], {".jpg"})


def test_a_folder_that_contains_another_is_rejected(tmp_path: Path) -> None:
    root = write(tmp_path, "out/in/1.jpg", "out/2.jpg", "root/a/3.jpg") / "root"
    (root / "b").symlink_to(tmp_path / "out" / "in")
    (root / "c").symlink_to(tmp_path / "out")
    with pytest.raises(DsxError, match=f"^{root}/b: is inside {root}/c$"):
        walk(root, "a", "b", "c")


def test_skipped_entries_are_counted_once_and_named(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg")
    own = Walk(tmp_path)
    assert str(own) == ""
    os.mkfifo(tmp_path / "a" / "2.jpg")
    for number in range(3):
        (tmp_path / "a" / f"{number}").symlink_to("/nowhere")
    (tmp_path / "loop\n").symlink_to(".")
    for _ in range(2):
        assert own.folders() == ["a"]
    assert str(own) == r"skipped 1 repeated folder (loop\n)"
    own.files(["a"], {".jpg"})
    words = "skipped 1 FIFO (a/2.jpg), 3 broken links (a/0, a/1, a/2), 1 repeated folder"
    assert str(own).startswith(words)
    for number in range(3, 2000):
        own.skipped[BROKEN].add(f"a/{number}")
    assert ", 2,000 broken links (a/0, a/1, a/10 and 1,997 more), 1 rep" in str(own)


def test_the_walk_reports_the_number_of_files(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg", "a/b/2.jpg", "a/b/3.jpg", "a/n.txt")
    seen = []

    class Watched(Walk):
        """Walk that records the activity before each folder."""

        def _content(self, folder: str, suffixes: Collection[str]) -> Any:
            shown = current()
            assert shown is not None
            seen.append((shown.event.kind, shown.unit, shown.done))
            return super()._content(folder, suffixes)

    Watched(tmp_path).files(["a"], {".jpg"}, unit="image")
    assert seen == [(Kind.LISTING_FILES, "image", 0), (Kind.LISTING_FILES, "image", 1)]
    assert current() is None
