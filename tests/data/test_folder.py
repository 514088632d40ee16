"""Images in folders: layouts, splits, and invalid folders."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dsx.data import Data, Split, Splits, TensorSplit, open_data
from dsx.data.folders.files import images
from dsx.data.images.stream import StreamSplit
from dsx.errors import DsxError
from tests.data.writers import write_folder

THREE = {"ant": 10, "bee": 10, "cat": 10}


def opened(root: Path, **arguments: Any) -> Data:
    return open_data("folder", {"root": str(root), "size": 24} | arguments)


def load(root: Path, **arguments: Any) -> Splits:
    return opened(root, **arguments).splits


def sizes(splits: Splits) -> list[int]:
    return [len(part) for part in splits.parts.values()]


def files(splits: Split) -> list[str]:
    """Return the locations of the images of a streamed split."""
    assert isinstance(splits, StreamSplit)
    return [str(place) for place in splits.places]


def test_classes_are_folders_in_alphabetical_order(tmp_path: Path) -> None:
    for name, shade in (("c", 200), ("a", 10), ("b", 100), ("10", 250), ("9", 50)):
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.new("L", (24, 24), shade).save(tmp_path / name / f"{number}.png")
    assert images(tmp_path).names == ["10", "9", "a", "b", "c"]
    train = load(tmp_path).train
    assert isinstance(train, TensorSplit)
    shades = train.images[:, :, 0, 0].tolist()
    of = dict(zip(train.labels.tolist(), shades, strict=True))
    assert of == {0: [250] * 3, 1: [50] * 3, 2: [10] * 3, 3: [100] * 3, 4: [200] * 3}


def test_fractions_of_each_class_are_sampled(tmp_path: Path) -> None:
    splits = load(write_folder(tmp_path), validation=0.2, test=0.3)
    assert sizes(splits) == [15, 6, 9]
    for part, count in ((splits.train, 5), (splits.validation, 2), (splits.test, 3)):
        assert torch.bincount(part.labels).tolist() == [count] * 3


def test_images_are_found_at_any_depth_except_hidden_ones(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"ant/a/b": 3, "ant/.git": 3, "bee": 4, ".trash": 2})
    (root / "bee" / ".hidden.jpg").write_bytes(b"?")
    (root / "bee" / "notes.txt").write_bytes(b"?")
    (root / "bee" / "UPPER.JPG").write_bytes((root / "bee" / "0000.jpg").read_bytes())
    (root / "README.jpg").write_bytes(b"?")
    assert [place.name for place in images(root).places] == [
        "ant/a/b/0000.jpg", "ant/a/b/0001.jpg", "ant/a/b/0002.jpg", "bee/0000.jpg",
        "bee/0001.jpg", "bee/0002.jpg", "bee/0003.jpg", "bee/UPPER.JPG",
    ]  # fmt: skip
    assert opened(root).classes == 2


def test_links_are_followed(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere", {"ant": 3, "bee": 3})
    (tmp_path / "root" / "bee").mkdir(parents=True)
    (tmp_path / "root" / "ant").symlink_to(tmp_path / "elsewhere" / "ant")
    (tmp_path / "root" / "bee" / "inner").symlink_to(tmp_path / "elsewhere" / "bee")
    assert sizes(load(tmp_path / "root")) == [2, 2, 2]


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_folders_with_names_of_splits_are_splits(word: str, tmp_path: Path) -> None:
    counts = {"train/ant": 5, "train/bee": 4, f"{word}/ant": 3, f"{word}/bee": 2, "test/ant": 2}
    splits = load(write_folder(tmp_path, counts), memory=0)
    assert sizes(splits) == [9, 5, 2]
    for part, folder in zip(splits.parts.values(), ("train", word, "test"), strict=True):
        assert all(f"/{folder}/" in name for name in files(part))
    assert splits.validation.labels.tolist() == [0, 0, 0, 1, 1]


def test_without_a_test_folder_half_of_the_validation_images_are_for_test(
    tmp_path: Path,
) -> None:
    counts = {"train/ant": 5, "train/bee": 4, "val/ant": 4, "val/bee": 6}
    splits = load(write_folder(tmp_path, counts), memory=0)
    assert sizes(splits) == [9, 5, 5]
    names = files(splits.validation) + files(splits.test)
    assert len(set(names)) == 10
    assert all("/val/" in name for name in names)


def test_without_a_validation_folder_training_images_are_for_validation(tmp_path: Path) -> None:
    counts = {"train/ant": 10, "train/bee": 20, "test/ant": 4, "test/bee": 6}
    splits = load(write_folder(tmp_path, counts), memory=0)
    assert sizes(splits) == [27, 3, 10]
    assert all("/train/" in name for name in files(splits.validation))


def test_a_class_may_have_the_name_of_a_split(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"train": 4, "car": 4, "test": 4})
    with pytest.raises(
        DsxError, match="only some folders have names of splits: test, train; others do not: car"
    ):
        opened(root)
    data = opened(root, parts={})
    assert data.class_names == ["car", "test", "train"]
    assert sizes(data.splits) == [6, 3, 3]


def test_a_single_class_is_rejected(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"train/ant": 4, "val/ant": 4})
    with pytest.raises(DsxError, match=r": has only the class 'ant' \(allowed: two or more\)$"):
        load(root)


def test_the_contents_are_known_without_decoding(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"Training/ant": 10, "Training/bee": 20, "Testing/bee": 4})
    (root / "Training" / "ant" / "broken.png").write_bytes(b"?")
    data = opened(root)
    assert data.counted_classes == "2 classes (ant, bee)"
    assert data.contents is not None
    contents = data.contents()
    assert contents.classes == ["ant", "bee"]
    assert [(part.images_per_class, part.source) for part in contents.splits.values()] == [
        ([10, 18], "the rest of folder 'Training'"),
        ([1, 2], "0.1 of folder 'Training', sampled by class"),
        ([0, 4], "folder 'Testing'"),
    ]


def test_the_contents_name_the_split_file(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "root", {"ant": 2, "bee": 4})
    lines = ["ant/0000.jpg,TRAIN", "bee/0000.jpg,training", "bee/0002.jpg,val", "bee/0003.jpg,test"]
    data = opened(root, split=split_file(tmp_path, lines))
    assert data.contents is not None
    splits = data.contents().splits
    assert {part: split.images_per_class for part, split in splits.items()} == {
        "train": [1, 1], "validation": [0, 1], "test": [0, 1],
    }  # fmt: skip
    assert {split.source for split in splits.values()} == {"file 'split.csv'"}
    assert "the validation split has no images of 1 of the 2 classes (ant)" in data.inspect()


def split_file(folder: Path, lines: list[str]) -> str:
    file = folder / "split.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


def test_a_file_assigns_the_splits(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "root", {"ant": 4, "bee": 4, "my, cat": 4})
    lines = [
        "ant/0001.jpg,train", " ant/0000.jpg , validation ", "./bee/0003.jpg,test", "",
        "bee/0002.jpg,train", "bee/0000.jpg,train", '"my, cat/0000.jpg",train',
    ]  # fmt: skip
    splits = load(root, split=split_file(tmp_path, lines), memory=0)
    assert [name.removeprefix(f"{root}/") for name in files(splits.train)] == [
        "ant/0001.jpg", "bee/0000.jpg", "bee/0002.jpg", "my, cat/0000.jpg"
    ]  # fmt: skip
    assert splits.train.labels.tolist() == [0, 1, 1, 2]
    assert files(splits.validation) == [f"{root}/ant/0000.jpg"]
    assert files(splits.test) == [f"{root}/bee/0003.jpg"]


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_the_validation_split_has_several_names(word: str, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "root", {"ant": 2, "bee": 4})
    lines = [
        "ant/0000.jpg,train",
        "bee/0000.jpg,train",
        f"bee/0002.jpg,{word}",
        "bee/0003.jpg,test",
    ]
    splits = load(root, split=split_file(tmp_path, lines), memory=0)
    assert files(splits.validation) == [f"{root}/bee/0002.jpg"]


GOOD = ["ant/0000.jpg,train", "bee/0000.jpg,train", "ant/0001.jpg,validation", "bee/0001.jpg,test"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*GOOD, "ant/0002.jpg"], r"FILE:5: 1 columns \(allowed: path,train or validation or test"),
        (["a,b,train", *GOOD], r"FILE:1: 3 columns \(allowed: path,train"),
        ([*GOOD, "ant/0002.jpg,tran"], r"FILE:5: split 'tran' \(allowed: train, validation, test\)."
         " Did you mean 'train'"),
        (["path,split", *GOOD], r"FILE:1: split 'split' \(allowed: train, validation, test\)\.$"),
        ([*GOOD, "ant/0009.jpg,train"], "FILE:5: no image 'ant/0009.jpg' in a class of ROOT$"),
        ([*GOOD, "../root/ant/0002.jpg,test"], "FILE:5: no image '../root/ant/0002.jpg' in a"),
        ([*GOOD, "/ant/0002.jpg,test"], "FILE:5: no image '/ant/0002.jpg' in a class"),
        ([*GOOD, "", "ant/0001.jpg,test"], "FILE:6: 'ant/0001.jpg' is listed twice$"),
        ([*GOOD, '"ant'], "split: FILE: is not a CSV file in UTF-8: unexpected end of data$"),
        (GOOD[:3], "FILE: has no images for test$"),
        ([GOOD[0], *GOOD[2:]], "FILE: class 'bee' has no training images$"),
    ],
)  # fmt: skip
def test_an_invalid_line_is_named(lines: list[str], message: str, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "root", {"ant": 4, "bee": 4})
    file = split_file(tmp_path, lines)
    message = message.replace("FILE", file).replace("ROOT", str(root))
    with pytest.raises(DsxError, match=f"^{message}"):
        load(root, split=file)


def test_an_invalid_split_file_is_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "root", {"ant": 4, "bee": 4})
    with pytest.raises(DsxError, match=r"^split: .*/none.csv: cannot be read: No such file or"):
        load(root, split=str(tmp_path / "none.csv"))
    (tmp_path / "latin.csv").write_bytes(b"\xe4nt/0000.jpg,train\n")
    with pytest.raises(
        DsxError, match=r"^split: .*/latin.csv: is not a CSV file in UTF-8: 'utf-8'"
    ):
        load(root, split=str(tmp_path / "latin.csv"))


def test_a_split_file_cannot_be_combined_with_split_folders(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "root", {"train/ant": 4, "val/ant": 4})
    with pytest.raises(DsxError, match=r"^split: .*/root is already divided into train, validat"):
        load(root, split=split_file(tmp_path, GOOD))


def test_large_and_grey_images_are_converted(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"ant": 4, "bee": 4}, size=300)
    Image.open(root / "ant" / "0000.jpg").convert("L").save(root / "ant" / "grey.png")
    for channels in (1, 3):
        data = opened(root, size=224, channels=channels)
        assert data.image_shape == (channels, 224, 224)
        assert sizes(data.splits) == [5, 2, 2]


def test_shape_and_classes_need_no_files(tmp_path: Path) -> None:
    data = opened(tmp_path / "none", classes=7, size=64, channels=1)
    assert (data.image_shape, data.classes) == ((1, 64, 64), 7)
    assert open_data("folder", {"root": "none", "classes": 7}).image_shape == (3, 224, 224)


def test_the_root_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "pets")
    monkeypatch.chdir(tmp_path)
    assert opened(Path("pets")).classes == 3


def test_memory_and_disk_give_the_same_bytes(tmp_path: Path) -> None:
    root = write_folder(tmp_path, suffix=".png")
    memory, disk = load(root), load(root, memory=0, workers=3)
    assert isinstance(memory.train, TensorSplit) and isinstance(disk.train, StreamSplit)
    order = torch.randperm(len(memory.train))
    for mine, theirs in zip(
        memory.train.batches(order, 7), disk.train.batches(order, 7), strict=True
    ):
        assert torch.equal(mine[0], theirs[0])
        assert torch.equal(mine[1], theirs[1])


def test_the_fingerprint_of_a_stream_does_not_depend_on_the_root(tmp_path: Path) -> None:
    given = {"memory": 0, "mean": [0.5] * 3, "deviation": [0.5] * 3}
    one = load(write_folder(tmp_path / "one"), **given).fingerprint
    assert load(write_folder(tmp_path / "other"), **given).fingerprint == one
    # Noise with another seed results in files of other sizes.
    assert load(write_folder(tmp_path / "third", seed=1), **given).fingerprint != one
    (tmp_path / "other" / "ant" / "0003.jpg").rename(tmp_path / "other" / "ant" / "x.jpg")
    assert load(tmp_path / "other", **given).fingerprint != one


Make = Callable[[Path], Path]


def with_file(name: str, content: bytes, counts: dict[str, int] | None = None) -> Make:
    def make(folder: Path) -> Path:
        (write_folder(folder, counts) / name).write_bytes(content)
        return folder

    return make


def with_folder(name: str, counts: dict[str, int]) -> Make:
    def make(folder: Path) -> Path:
        (write_folder(folder, counts) / name).mkdir(parents=True)
        return folder

    return make


def dangling(folder: Path) -> Path:
    (write_folder(folder) / "eel").mkdir()
    (folder / "eel" / "gone.jpg").symlink_to(folder / "nowhere")
    return folder


PARTED = {"train/ant": 4, "val/ant": 4}
WRONG: list[tuple[Make, str]] = [
    (lambda folder: folder / "none", r"DIR/none: there is no such folder \(allowed: a folder with"
     " one folder of images per class, or with the folders train and val"),
    (lambda folder: folder, r"DIR: has no folders \(allowed: one folder of images per class"),
    (with_file("ant/x.jpg", b"?") , "DIR/ant/x.jpg: cannot be decoded: a format that Pillow"),
    (with_file("ant/x.jpg", b""), r"DIR/ant/x.jpg: is empty \(0 bytes\)$"),
    (with_folder("bird", {"ant": 4}), "DIR/bird: has no images$"),
    (with_folder("val/bee", {**PARTED, "train/bee": 2}), "DIR/val/bee: has no images$"),
    (with_folder("test", PARTED), "DIR/test: has no folders"),
    (with_folder("valid", PARTED), "DIR: has both 'val' and 'valid' for validation \\(specify"),
    (lambda folder: write_folder(folder, {**PARTED, "val/fox": 2}),
     "DIR/val/fox: no such class in DIR/train$"),
    (lambda folder: write_folder(folder, {"ant": 4, "bee": 1}),
     "class 'bee': 1 images in train .allowed: enough for validation and test and train"),
    (lambda folder: write_folder(folder, {"train/ant": 4, "val/ant": 1}),
     "class 'ant': 1 images in validation .allowed: enough for test and validation"),
    (dangling, r"DIR/eel: has no images; skipped 1 broken link \(eel/gone.jpg\)$"),
    (lambda folder: Path(write_folder(folder), "ant", "0000.jpg"),
     "DIR/ant/0000.jpg: cannot be read: Not a directory$"),
]  # fmt: skip


@pytest.mark.parametrize("memory", [0, 2])
@pytest.mark.parametrize(("make", "message"), WRONG)
def test_invalid_files_are_named(make: Make, message: str, memory: float, tmp_path: Path) -> None:
    root = make(tmp_path)
    with pytest.raises(DsxError, match=f"^{message.replace('DIR', str(tmp_path))}") as caught:
        load(root, memory=memory)
    assert "\n" not in str(caught.value)


def test_a_truncated_image_is_named_when_it_is_decoded(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"ant": 4, "bee": 4}, size=100)
    for name in ("ant/0001.jpg", "bee/0000.jpg", "bee/0001.jpg", "bee/0002.jpg", "bee/0003.jpg"):
        (root / name).write_bytes((root / name).read_bytes()[:-500])
    with pytest.raises(DsxError, match=r"^.*/\d+.jpg: cannot be decoded: image file is truncated"):
        load(root)
    # With a given mean, only the headers of the training images are read.
    splits = opened(root, memory=0, mean=[0.5] * 3, deviation=[0.5] * 3).load()
    with pytest.raises(DsxError, match=r"^.*/\d+.jpg: cannot be decoded: image file is truncated"):
        list(splits.train.batches(torch.arange(len(splits.train)), 2))


@pytest.mark.parametrize("content", [b"", b"?"])
def test_the_headers_of_all_images_are_read_when_a_stream_is_loaded(
    content: bytes, tmp_path: Path
) -> None:
    counts = {"train/ant": 9, "train/bee": 9, "test/ant": 9, "val/ant": 9}
    data = opened(
        with_file("test/ant/0007.jpg", content, counts)(tmp_path), memory=0, mean=[0.5] * 3,
        deviation=[0.5] * 3,
    )  # fmt: skip
    with pytest.raises(DsxError, match=r"^.*/test/ant/0007.jpg: (cannot be decoded|is empty)"):
        data.load()


def test_an_unused_image_may_be_broken(tmp_path: Path) -> None:
    root = with_file("ant/x.jpg", b"?", {"ant": 4, "bee": 4})(tmp_path / "root")
    (root / "bee" / "y.jpg").write_bytes(b"")
    for memory in (0, 2):
        assert sizes(load(root, split=split_file(tmp_path, GOOD), memory=memory)) == [2, 1, 1]


def test_another_number_of_classes_than_stated_is_refused(tmp_path: Path) -> None:
    data = opened(write_folder(tmp_path), classes=4)
    with pytest.raises(DsxError, match=r"has 3 classes, not 4 as specified by classes: ant"):
        _ = data.splits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": 3}, r"root: 3 \(allowed: a path\)"),
        ({"split": 3}, r"split: 3 \(allowed: a path\)"),
        ({"size": "224"}, r"size: '224' \(allowed: an integer of at least 1\)"),
        ({"classes": 0}, r"classes: 0 \(allowed: an integer of at least 1\)"),
        ({"classes": "many"}, r"classes: 'many' \(allowed: an integer of at least 1\)"),
        ({"validation": 2}, r"validation: 2 \(allowed: a number between 0 and 1\)"),
        ({"split_seed": "a"}, r"split_seed: 'a' \(allowed: an integer from 0 to"),
        ({"memory": "2 GB"}, r"memory: '2 GB' \(allowed: a number of at least 0\)"),
    ],
)
def test_invalid_arguments_are_rejected_before_reading(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(DsxError, match=f"^{message}"):
        open_data("folder", {"root": "none", "classes": 3} | arguments)


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DsxError, match=f"^{tmp_path}: cannot be read: Permission denied$"):
        opened(tmp_path)


def test_labels_follow_the_pictures(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"ant": 5, "bee": 6, "cat": 7}, suffix=".png")
    for part in load(root, memory=0).parts.values():
        named = [Path(name).parent.name for name in files(part)]
        assert [["ant", "bee", "cat"].index(name) for name in named] == part.labels.tolist()
    assert np.bincount(images(root).labels).tolist() == [5, 6, 7]
