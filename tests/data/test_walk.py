"""Walks over folders that contain cycles, links and things that are no files."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dsx.data._walk import BROKEN, REPEATED, Walk, open_regular
from dsx.errors import DsxError


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def walk(root: Path, *folders: str) -> tuple[list[list[str]], dict[str, int]]:
    """List the .jpg files of some folders of a root, and what was skipped."""
    own = Walk(root)
    found = own.files([root / folder for folder in folders], {".jpg"})
    names = [[path.relative_to(root).as_posix() for path, _ in files] for files in found]
    return names, dict(own.skipped)


def test_files_come_before_folders_in_alphabetical_order(tmp_path: Path) -> None:
    write(tmp_path, "a/b/1.jpg", "a/B/1.jpg", "a/z.jpg", "a/b.jpg", "a/b/c/0.JPG", "a/n.txt")
    names = ["a/b.jpg", "a/z.jpg", "a/B/1.jpg", "a/b/1.jpg", "a/b/c/0.JPG"]
    assert walk(tmp_path, "a") == ([names], {})


@pytest.mark.parametrize("target", [".", "..", "../..", "../b", "b", "b/c", "/"])
def test_a_link_to_what_is_read_anyway_adds_nothing(target: str, tmp_path: Path) -> None:
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
    # The path of a socket may have but a hundred letters.
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
def test_what_is_no_regular_file_is_skipped_and_not_opened(
    kind: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path, "a/1.jpg")
    make(tmp_path / "a" / "2.jpg")
    make(tmp_path / "a" / "ignored.txt")
    assert walk(tmp_path, "a") == ([["a/1.jpg"]], {kind: 1})
    with pytest.raises(OSError, match=f"a {kind}, not a regular file"):
        open_regular(tmp_path / "a" / "2.jpg")


def test_links_that_lead_nowhere_are_skipped_but_pictures_must_be_there(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "gone").symlink_to("/nowhere")
    (tmp_path / "a" / "self").symlink_to("self")
    assert walk(tmp_path, "a") == ([["a/1.jpg"]], {BROKEN: 2})
    (tmp_path / "a" / "2.jpg").symlink_to("2.jpg")
    with pytest.raises(DsxError, match=r"^.*/a/2.jpg: cannot be read: Too many levels of symb"):
        walk(tmp_path, "a")


def test_two_names_of_one_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(DsxError, match=r"^.*/b: is the same folder as .*/a$"):
        walk(tmp_path, "a", "b")


def test_what_was_skipped_is_said_in_a_few_words(tmp_path: Path) -> None:
    own = Walk(tmp_path)
    assert str(own) == ""
    own.skipped.update({"FIFO": 1, REPEATED: 12, BROKEN: 2})
    assert str(own) == "skipped 1 FIFO, 2 broken links, 12 repeated folders"


def test_a_regular_file_is_opened(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    with open_regular(tmp_path / "a.jpg") as file:
        assert file.read() == b"a.jpg"
    with pytest.raises(FileNotFoundError, match="No such file"):
        open_regular(tmp_path / "b.jpg")
    with pytest.raises(OSError, match="a folder, not a regular file"):
        open_regular(tmp_path)
