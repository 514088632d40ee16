"""Folders of images with cycles, copies and entries that are not regular files: no hang."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsx.data import Splits, open_data
from dsx.errors import DsxError, SpaceError
from dsx.space import load_space
from dsx.space.weights.pretrained import read_weights
from tests.cli.running import dsx, one_line
from tests.data.folders.test_walk import make_socket
from tests.data.writers import write_cifar, write_folder, write_parquet
from tests.robustness.conftest import Tally

KIND = "folder data sets"
SPACE = """
model: small_cnn
model_args: {{width: 4, in_channels: 3, classes: {classes}}}
data: {data}
data_args: {arguments}
train: {{epochs: 1}}
slots: [{{match: "*", kernel_shape: [full, cross]}}]
objectives: {{accuracy: maximize, params: minimize}}
"""


def link(target: str, *names: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for name in names:
            (root / name).symlink_to(target)

    return make


def copies(root: Path) -> None:
    """Copy most training images into validation, under other names."""
    for number in range(8):
        shutil.copy(root / f"train/ant/{number:04}.jpg", root / f"val/ant/copy{number}.jpg")


def linked(root: Path) -> None:
    for number in range(8):
        target = root / f"train/bee/{number:04}.jpg"
        (root / f"val/bee/link{number}.jpg").symlink_to(target)


def special(make: Callable[[Path], None], name: str) -> Callable[[Path], None]:
    return lambda root: make(root / name)


def made(folder: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    def make_both(root: Path) -> None:
        (root / folder).mkdir()
        make(root)

    return make_both


PARTS = {"train/ant": 10, "train/bee": 10, "val/ant": 10, "val/bee": 10, "test/ant": 2}
CASES: list[tuple[Callable[[Path], None], str]] = [
    (lambda root: None, ""),
    (link(".", "train/ant/loop"), "skipped 1 repeated folder"),
    (link(".", "train/ant/one", "train/ant/two"), "skipped 2 repeated folders"),
    (link("..", "train/ant/one", "val/bee/two"), "skipped 2 repeated folders"),
    (link("../../..", "train/ant/up"), "skipped 1 repeated folder"),
    (link(".", "train/self"), "skipped 1 repeated folder"),
    (link("..", "val/root"), "skipped 1 repeated folder"),
    (link("../../train/ant", "val/ant/more"), "skipped 1 repeated folder"),
    (link("/nowhere", "val/ant/gone"), "skipped 1 broken link (val/ant/gone)"),
    (link("/nowhere", "train/ant/x.jpg"), "skipped 1 broken link (train/ant/x.jpg)"),
    (link("x.jpg", "train/ant/x.jpg"), "skipped 1 broken link (train/ant/x.jpg)"),
    (link("/nowhere", "train/cat"), "skipped 1 broken link (train/cat)"),
    (link("cat", "train/cat", "other", "valid"), "skipped 3 broken links (other, train/cat, valid"),
    (special(os.mkfifo, "train/ant/x.jpg"), "skipped 1 FIFO (train/ant/x.jpg)"),
    (special(make_socket, "train/ant/x.jpg"), "skipped 1 socket"),
    (link("/dev/zero", "train/ant/x.jpg"), "skipped 1 device"),
    (link("/dev/tty", "train/ant/x.jpg"), "skipped 1 device"),
    (copies, "8 of the 28 validation images are also training images"),
    (linked, "8 of the 28 validation images are also training images"),
]  # fmt: skip


def load(root: Path, memory: float) -> Splits:
    return open_data("folder", {"root": str(root), "size": 8, "memory": memory}).splits


@pytest.mark.parametrize("memory", [0, 2])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_a_folder_is_read_once_and_its_faults_are_counted(
    case: int, memory: float, tally: Tally, tmp_path: Path
) -> None:
    make, words = CASES[case]
    root = write_folder(tmp_path / "in" / "root", PARTS)
    make(root)
    splits = load(root, memory)
    right = len(splits.train) == 20 and len(splits.test) == 2
    right &= "; ".join(splits.notes).removeprefix(f"{root}: ").startswith(words)
    right &= bool(splits.notes) == bool(words)
    tally(KIND, right)
    assert right, splits.notes


def test_equal_images_of_one_class_are_counted_wherever_the_split_puts_them(
    tally: Tally, tmp_path: Path
) -> None:
    root = write_folder(tmp_path, {"ant": 10, "bee": 10})
    for name in ("ant", "bee"):
        for number in range(10):
            shutil.copy(root / name / f"{number:04}.jpg", root / name / f"copy{number}.jpg")
    (note,) = load(root, 2).notes
    tally(KIND, "of the 4 validation images are also training images" in note)
    assert "of the 4 validation images are also training images" in note
    # A copy matters only if it is in another split.
    notes = open_data("folder", {"root": str(root), "size": 8}).inspect()
    assert list(notes) == [note]


def test_a_changed_image_is_detected(tally: Tally, tmp_path: Path) -> None:
    root = write_folder(tmp_path, PARTS)
    copies(root)
    assert load(root, 2).notes
    for number in range(8):
        copy = root / f"val/ant/copy{number}.jpg"
        copy.write_bytes(copy.read_bytes() + b"\0")
    tally(KIND, not load(root, 2).notes)
    assert not load(root, 2).notes


def test_equal_images_of_parquet_files_are_counted(tally: Tally, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [0, 1] * 10)
    write_parquet(tmp_path / "val.parquet", [0, 1] * 10)
    os.mkfifo(tmp_path / "more.parquet")
    (tmp_path / "loop").symlink_to(".")
    notes = open_data("parquet", {"root": str(tmp_path), "size": 8}).splits.notes
    skipped = f"{tmp_path}: skipped 1 FIFO (more.parquet), 1 repeated folder (loop)"
    right = notes[0] == skipped and notes[1].startswith("10 of the 10 validation images are")
    tally(KIND, right)
    assert right, notes


def space(folder: Path, data: str, arguments: str, classes: int = 2) -> str:
    (folder / "s.yaml").write_text(SPACE.format(data=data, arguments=arguments, classes=classes))
    return "s.yaml"


REFUSED: list[tuple[str, Callable[[Path], None], str, str]] = [
    ("folder", link("ant", "train/cat"), "{root: root}", "train/cat: is the same folder as"),
    ("folder", made("test/bee", link("/nowhere", "test/bee/x.jpg")), "{root: root}",
     "test/bee: has no images; skipped 1 broken link (test/bee/x.jpg)"),
    ("folder", made("train/ant/sub", link("ant/sub", "train/cat")), "{root: root}",
     "train/cat: is inside root/train/ant"),
    ("folder", lambda root: None, f"{{root: {'a' * 300}}}", "cannot be read: File name too long"),
    ("parquet", lambda root: None, f"{{root: {'a' * 300}}}", "cannot be read: File name too long"),
    ("parquet", lambda root: None, "{root: root/train/ant/0000.jpg/x}", "read: Not a directory"),
    ("cifar10", lambda root: None, f"{{root: {'a' * 300}}}", "cannot be read: File name too long"),
    ("folder", special(os.mkfifo, "s.csv"), "{root: root/train, split: root/s.csv}",
     "split: root/s.csv: cannot be read: a FIFO, not a regular file"),
    ("folder", special(os.mkfifo, "x"), "{root: root/x}", "root/x: cannot be read: Not a dir"),
    ("folder", link("/dev/zero", "s.csv"), "{root: root/train, split: root/s.csv}",
     "split: root/s.csv: cannot be read: a device, not a regular file"),
    ("parquet", special(os.mkfifo, "a.parquet"), "{root: root}",
     "(put the files of the dataset there); skipped 1 FIFO (a.parquet)"),
    ("parquet", special(os.mkfifo, "a"), "{root: root/a}", "root/a: cannot be read: Not a dir"),
    ("parquet", link("/dev/zero", "a.parquet"), "{root: root/a.parquet}", "Not a directory"),
    ("cifar10", special(os.mkfifo, "cifar-10-python.tar.gz"), "{root: root}", "Not a directory"),
    ("cifar10", special(os.mkfifo, "a"), "{root: root/a}", "CIFAR-10 is missing"),
    ("cifar10", link("/dev/zero", "a"), "{root: root/a}", "CIFAR-10 is missing"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_unreadable_entries_are_rejected_in_one_line(
    case: int, tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, make, arguments, words = REFUSED[case]
    make(write_folder(tmp_path / "root", PARTS))
    file = space(tmp_path, data, arguments, 10 if data == "cifar10" else 2)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpaceError, match=r"\As.yaml:\d+: .*\Z") as caught:
        _ = load_space(file).splits
    tally(KIND, words in str(caught.value))
    assert words in str(caught.value)


def forbid(root: Path) -> None:
    (root / "train/ant/inner").mkdir(mode=0)


def link_into_forbidden(root: Path) -> None:
    (root / "inner").mkdir(mode=0)
    (root / "train/ant/x.jpg").symlink_to(root / "inner" / "x.jpg")


@pytest.mark.parametrize(
    ("data", "make", "arguments", "place"),
    [
        ("folder", forbid, "{root: root}", "root/train/ant/inner"),
        ("folder", link_into_forbidden, "{root: root, classes: 2}", "root/train/ant/x.jpg"),
        ("parquet", forbid, "{root: root/train/ant/inner}", "root/train/ant/inner"),
        ("parquet", forbid, "{root: root/train/ant/inner/x}", "root/train/ant/inner/x"),
    ],
)
def test_entries_without_permission_are_rejected_in_one_line(
    data: str,
    make: Callable[[Path], None],
    arguments: str,
    place: str,
    tally: Tally,
    tmp_path: Path,
) -> None:
    make(write_folder(tmp_path / "root", PARTS))
    file = space(tmp_path, data, arguments)
    ended = dsx("search", file, "--trials", 1, folder=tmp_path, heed_permissions=True)
    words = f"{place}: cannot be read: Permission denied"
    tally(KIND, words in ended.err)
    assert words in one_line(ended, 2)


def test_a_batch_of_cifar_that_is_not_a_file_is_missing(tally: Tally, tmp_path: Path) -> None:
    folder = write_cifar(tmp_path, train=50, test=10, packed=False)
    (folder / "data_batch_2").unlink()
    os.mkfifo(folder / "data_batch_2")
    with pytest.raises(DsxError, match="data_batch_2 of CIFAR-10 is missing"):
        _ = open_data("cifar10", {"root": str(folder)}).splits
    tally(KIND, True)


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_weights_that_are_not_a_file_are_rejected(
    make: Callable[[Path], None], name: str, tally: Tally, tmp_path: Path
) -> None:
    make(tmp_path / name)
    with pytest.raises(DsxError, match=f"/{name}: cannot be read: a (FIFO|device), not a"):
        read_weights(str(tmp_path / name))
    tally(KIND, True)


def test_the_faults_of_the_data_are_reported_by_each_command(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "root", PARTS)
    copies(root)
    os.mkfifo(root / "train/ant/x.jpg")
    file = space(tmp_path, "folder", "{root: root, size: 8}")
    notes = [
        "root: skipped 1 FIFO (train/ant/x.jpg)",
        "8 of the 28 validation images are also training images",
    ]
    shown = dsx("space", file, folder=tmp_path)
    assert shown.code == 0 and all(note in shown.err.splitlines() for note in notes)
    searched = dsx("search", file, "--trials", 1, folder=tmp_path)
    assert searched.code == 0 and all(note in searched.err.splitlines() for note in notes)
    front = dsx("pareto", "--json", folder=tmp_path)
    assert front.json["conditions"]["data"] == "; ".join(notes)
    shutil.rmtree(root)
    shown = dsx("space", file, folder=tmp_path)
    assert (shown.code, shown.err.count("\n")) == (2, 1)
