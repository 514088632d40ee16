"""Layouts of folders: detected, or rejected in one line that states what to specify."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dsx.data import open_data
from dsx.data.folders.layout import Layout, find_layout, stated_parts
from dsx.data.folders.walk import Walk
from dsx.data.images.decode import suffixes
from dsx.errors import DataMissing, DsxError
from tests.data.writers import write_folder


def make(root: Path, *folders: str) -> Path:
    """Create folders with an image file each; a folder whose name ends with a slash is empty."""
    for name in folders:
        (root / name).mkdir(parents=True)
        if not name.endswith("/"):
            (root / name / "1.png").touch()
    return root


def both(*outer: str) -> list[str]:
    """Return the paths of two class folders in each of some folders."""
    return [f"{folder}/{name}" for folder in outer for name in ("cat", "dog")]


def found(root: Path, stated: Mapping[str, str] | None = None) -> Layout:
    return find_layout(Walk(root), stated)


MANY = [f"n{number}" for number in range(300)]
"""Folders of a dataset with many classes."""


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (both("Training", "Testing"), {"train": "Training", "test": "Testing"}),
        (both("TRAIN", "TEST"), {"train": "TRAIN", "test": "TEST"}),
        (both("training_set", "test_set"), {"train": "training_set", "test": "test_set"}),
        (both("trn", "val", "tst"), {"train": "trn", "validation": "val", "test": "tst"}),
        (both("train2017", "Val 2017"), {"train": "train2017", "validation": "Val 2017"}),
        (both("train-images", "dev"), {"train": "train-images", "validation": "dev"}),
        (both("train"), {"train": "train"}),
        ([*both("train", "val"), "__MACOSX/x", ".x/y"], {"train": "train", "validation": "val"}),
        ([*both("train", "test"), "samples"], {"train": "train", "test": "test"}),
        (["train/images_a", "train/test", "test/test"], {"train": "train", "test": "test"}),
        (["cat", "dog"], {}),
        (["cat", "dog", "__MACOSX"], {}),
        (["cat/a", "cat/b", "dog/c"], {}),
        (["train_station", "train_interior", "valley"], {}),
        (["car", "trainer", "tester"], {}),
        (["trainers", "testers"], {}),
        (["trained", "tested"], {}),
        (["testudo", "vallhund"], {}),
        (["tractor", "trainer", "valley"], {}),
        (["testudo", "train_station", "trainer"], {}),
        (["latest", "strain", "valley"], {}),
        # Among many folders, a few may have names of splits by chance.
        ([*MANY, "train"], {}),
        ([*MANY, "bullet_train", "crash_test", "retest", "retrain"], {}),
    ],
)  # fmt: skip
def test_an_unambiguous_layout_is_detected(
    folders: list[str], parts: dict[str, str], tmp_path: Path
) -> None:
    layout = found(make(tmp_path, *folders))
    assert layout.parts == parts
    assert layout.names == sorted(
        {Path(name).parts[bool(parts)] for name in folders
         if not parts or Path(name).parts[0] == parts["train"]} - {"__MACOSX"}
    )  # fmt: skip


SPECIFY = (
    r"specify parts: \{train: FOLDER, test: FOLDER\}, or parts: \{\} if each folder is a class\)$"
)


@pytest.mark.parametrize(
    ("folders", "problem"),
    [
        (["cat", "dog", "test"], f"ROOT: ambiguous.*: test; others do not: cat, dog .*{SPECIFY}"),
        (["cat", "dog", "train"], f"ROOT: ambiguous.*: train; others do not: cat, dog .*{SPECIFY}"),
        ([*both("train"), "catA"], f"ROOT: ambiguous.*: train; others do not: catA .*{SPECIFY}"),
        (["train", "test", "cat"], f"ROOT: ambiguous.*: test, train; .* cat .*{SPECIFY}"),
        ([*MANY, "test"], f"ROOT: ambiguous.*: test; others do not: n0, n1, .*{SPECIFY}"),
        ([*MANY, *both("train")], f"ROOT: ambiguous.*: train; others do not: n0, n1, .*{SPECIFY}"),
        ([*MANY, "train", "test"], f"ROOT: ambiguous.*: test, train; .* n0, .*{SPECIFY}"),
        (both("val", "test"), f"ROOT: has test, val, but no folder for training .*{SPECIFY}"),
        (both("Train", "train"), "ROOT: has both 'Train' and 'train' for train \\(specify"),
        (both("train", "valid", "dev"), "ROOT: has both 'dev' and 'valid' for valid.* \\(specify"),
        (both("seg_train/x", "seg_test/y"), f"ROOT: .* folders seg_test, seg_train .*{SPECIFY}"),
        (both("fold1", "fold2"), f"ROOT: ambig.* fold1, fold2 .* folders cat, dog .*{SPECIFY}"),
        (["a/1", "a/2", "b/1"], f"ROOT: ambiguous layout: a, b may .* the folders 1 .*{SPECIFY}"),
        (["images", "labels/"], f"ROOT: folders called images, labels are .*{SPECIFY}"),
        (["images/train", "images/val", "labels/train/"], "ROOT: folders called images, labels"),
        (["train/images", "train/labels/", "val/images"], "ROOT/train: folders called images, "),
        (["train/train", "train/val"], "ROOT/train: ambiguous layout: the folders train, val may"),
        (["cat/trainX", "cat/testX", "dog/a"], "ROOT/cat: has testX, trainX, but splits inside of"),
        (["cat/train", "cat/test", "dog/train"], "ROOT/cat: has test, train, but splits inside of "
         r"a class are not supported \(allowed: train/cat and so on; or parts: \{\} to sample"),
        (both("pets/train", "pets/test"), "ROOT: has only the folder 'pets'; its content is test, "
         r"train \(to read it, specify root: ROOT/pets\)$"),
        (both("a/b/c"), r"ROOT: has only the folder 'a'; .* cat, dog .* root: ROOT/a/b/c\)$"),
        (both("train/train", "test"), "ROOT/train: has only the folder 'train'; its content is "
         r"cat, dog \(to read it, specify parts: \{train: train/train, ...\}\)$"),
        (["cat"], r"ROOT: has only the folder 'cat' \(allowed: two or more classes"),
        (["train", "test"], "ROOT/test: has no folders, but 1 image .allowed: one folder "
         "of images per class; or specify parts without this folder"),
        (["."], r"ROOT: has no folders, but 1 image \(allowed: one folder of images"),
    ],
)  # fmt: skip
def test_an_ambiguous_layout_is_rejected(folders: list[str], problem: str, tmp_path: Path) -> None:
    root = tmp_path
    for name in folders:
        make(root, name) if name != "." else (root / "1.png").touch()
    with pytest.raises(DsxError, match=f"^{problem.replace('ROOT', re.escape(str(root)))}"):
        found(root)


@pytest.mark.parametrize("inside", ["", "/cat"])
@pytest.mark.parametrize(
    "folders",
    [
        ["trainA", "trainB", "testA", "testB"],
        ["trainA", "trainB", "testA", "testB", "samples"],
        ["trainX", "testX"],
        ["train224x224", "valid224x224", "test224x224"],
        ["trainHR", "trainLR", "validHR", "validLR"],
        ["trainvalA", "testA"],
        ["valA", "testA"],
        ["Trainingsdaten", "Testdaten"],
        ["Trainingsbilder", "Validierungsbilder"],
        ["myTrain", "myTest"],
        ["01Xtrain", "02Xtest"],
        ["train (1)", "test (1)"],
        ["train_processed", "test_processed"],
        [f"{part}{number:02}X" for part in ("train", "test") for number in range(20)],
    ],
)
def test_other_names_of_splits_are_ambiguous(
    folders: list[str], inside: str, tmp_path: Path
) -> None:
    make(tmp_path, *(f"{folder}{inside}" for folder in folders))
    match = rf"^{tmp_path}: ambiguous layout: the folders {re.escape(min(folders))}, .*{SPECIFY}"
    with pytest.raises(DsxError, match=match):
        found(tmp_path)


@pytest.mark.parametrize(
    ("folders", "stated", "names"),
    [
        (["cat", "dog", "test"], {}, ["cat", "dog", "test"]),
        (both("Training", "Testing"), {}, ["Testing", "Training"]),
        (["images", "labels"], {}, ["images", "labels"]),
        (["cat/train", "dog/test"], {}, ["cat", "dog"]),
        (both("seg_train/x", "seg_test/y"), {"train": "seg_train/x", "test": "seg_test/y"},
         ["cat", "dog"]),
        ([*both("train", "more"), "test"], {"train": "train", "validation": "more"},
         ["cat", "dog"]),
    ],
)  # fmt: skip
def test_specified_parts_are_read(
    folders: list[str], stated: dict[str, str], names: list[str], tmp_path: Path
) -> None:
    layout = found(make(tmp_path, *folders), stated)
    assert (layout.parts, layout.names) == (stated, names)


def test_a_specified_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=f"^{tmp_path}/x: there is no such folder"):
        found(make(tmp_path, *both("train")), {"train": "x"})


def test_a_cycle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "loop").symlink_to(tmp_path / "one")
    with pytest.raises(DsxError, match=r": has only the folder 'one' \(allowed: two or more"):
        found(tmp_path)


def test_skipped_entries_are_counted(tmp_path: Path) -> None:
    walk = Walk(make(tmp_path, *both("train", "test"), "samples"))
    (tmp_path / "train" / "stray.png").touch()
    find_layout(walk, {"train": "train"})
    assert str(walk) == "skipped 1 unclassified image (train/stray.png)"
    (tmp_path / "train" / "stray.png").unlink()
    walk = Walk(tmp_path)
    find_layout(walk, None)
    assert str(walk) == "skipped 1 other folder (samples)"


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (None, None),
        ({}, {}),
        (
            {"train": "Training", "test": "./b//Testing/"},
            {"train": "Training", "test": "b/Testing"},
        ),
        ({"train": "a", "val": "..b"}, {"train": "a", "validation": "..b"}),
        ({"Train": "a", "tests": "ab"}, {"train": "a", "test": "ab"}),
    ],
)
def test_parts_are_specified_as_folders(given: Any, parts: dict[str, str] | None) -> None:
    assert stated_parts(given) == parts


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("Training", r"parts: Training \(allowed: \{train: FOLDER, validation: FOLDER, test: FOL"),
        (
            {"pictures": "a"},
            r"parts: 'pictures' is not the name of a split \(allowed: train, validation, val, "
            r"valid, test, .*tst, optionally with a suffix such as s, _set or 2017\)$",
        ),
        ({1: "a"}, r"parts: '1' is not the name of a split \(allowed: "),
        (
            {"train": "a", "val": "b", "valid": "c"},
            r"parts: 'valid' is specified twice",
        ),
        ({"test": "a"}, r"parts: train is missing \(allowed: .* at least train; or \{\}"),
        (
            {"train": "a", "test": "./a/"},
            r"parts: train and test have the same folder a \(allowed: disjoint folders",
        ),
        (
            {"test": "a/b", "train": "a"},
            r"parts: the folder of test, a/b, is inside that of train \(allowed: disjoint",
        ),
        ({"train": 3}, r"parts: train: 3 \(allowed: a folder inside the root\)$"),
        ({"train": "../a"}, r"parts: train: \.\./a \(allowed: a folder inside the root\)$"),
        ({"train": "/a"}, r"parts: train: /a \(allowed: a folder inside the root\)$"),
        ({"train": "."}, r"parts: train: \. \(allowed: a folder inside the root\)$"),
    ],
)
def test_invalid_parts_are_rejected(given: Any, problem: str) -> None:
    with pytest.raises(DsxError, match=f"^{problem}"):
        stated_parts(given)


def test_only_images_count_as_images(tmp_path: Path) -> None:
    make(tmp_path, "a/")
    for name in ("x.JPG", "y.txt", ".z.png"):
        (tmp_path / name).touch()
    assert Walk(tmp_path).list_folder("", suffixes()) == (["a"], ["x.JPG"])


def test_specified_parts_are_opened(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a/x/ant": 4, "a/x/bee": 6, "b/ant": 2, "b/bee": 2, "c": 1})
    arguments = {"root": str(root), "size": 8, "parts": {"train": "a/x", "test": "b"}}
    data = open_data("folder", arguments)
    assert data.class_names == ["ant", "bee"]
    assert [len(part) for part in data.splits.parts.values()] == [8, 2, 4]
