"""Images in Parquet files: layouts, columns, and invalid files."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from dsx.data import Data, Split, Splits, TensorSplit, _parquet_files, open_data
from dsx.data._parquet_files import read_group
from dsx.data.images.stream import StreamSplit
from dsx.errors import DsxError
from tests.data.images.test_deep import png16
from tests.data.writers import pictures, png, write_parquet

LABELS = [0, 1, 2, 1, 0, 2] * 4


def opened(root: Path, **arguments: Any) -> Data:
    return open_data("parquet", {"root": str(root), "size": 24} | arguments)


def load(root: Path, **arguments: Any) -> Splits:
    return opened(root, **arguments).splits


def sizes(splits: Splits) -> list[int]:
    return [len(part) for part in splits.parts.values()]


def rows(split: Split) -> list[str]:
    """Return the locations of the rows of a streamed split."""
    assert isinstance(split, StreamSplit)
    return [str(place) for place in split.places]


@pytest.mark.parametrize(
    "names",
    [
        ("data/train-00000-of-00002", "data/train-00001-of-00002", "data/validation-00000-of-00001",
         "data/test-00000-of-00001"),
        ("default/train/0", "default/train/1", "default/validation/0", "default/test/0"),
        ("x_train_1", "x_train_2", "x_val", "x_test"),
        ("Train1", "Train2", "VALID", "Test"),
    ],
)  # fmt: skip
def test_paths_name_the_splits(names: tuple[str, ...], tmp_path: Path) -> None:
    for number, (name, count) in enumerate(zip(names, (9, 5, 4, 3), strict=True)):
        write_parquet(tmp_path / f"{name}.parquet", LABELS[:count], seed=number)
    splits = load(tmp_path, memory=0)
    assert sizes(splits) == [14, 4, 3]
    assert splits.train.labels.tolist() == LABELS[:9] + LABELS[:5]
    assert rows(splits.validation) == [f"{tmp_path / names[2]}.parquet: row {n}" for n in range(4)]


def test_missing_splits_are_sampled(tmp_path: Path) -> None:
    write_parquet(tmp_path / "one" / "anything.parquet", LABELS)
    assert sizes(load(tmp_path / "one", validation=0.25, test=0.25)) == [12, 6, 6]
    assert sizes(load(tmp_path / "one" / "anything.parquet")) == [18, 3, 3]
    # If the root is a file, all splits are sampled from it, regardless of its name.
    write_parquet(tmp_path / "three" / "test.parquet", LABELS)
    assert sizes(load(tmp_path / "three" / "test.parquet")) == [18, 3, 3]
    with pytest.raises(DsxError, match=r"three: has no file for training"):
        load(tmp_path / "three")
    for name in ("train-0", "train-1"):
        write_parquet(tmp_path / "two" / f"{name}.parquet", LABELS)
    assert sizes(load(tmp_path / "two")) == [36, 6, 6]
    write_parquet(tmp_path / "two" / "validation.parquet", LABELS)
    assert sizes(load(tmp_path / "two")) == [48, 12, 12]


@pytest.mark.parametrize("struct_column", [True, False])
@pytest.mark.parametrize("group", [1, 5, 100])
@pytest.mark.parametrize("memory", [0, 2])
def test_images_and_labels_match(
    struct_column: bool, group: int, memory: float, tmp_path: Path
) -> None:
    parts = {"train": LABELS, "validation": LABELS[:7], "test": LABELS[:5]}
    for number, (part, labels) in enumerate(parts.items()):
        file = tmp_path / f"{part}.parquet"
        write_parquet(file, labels, group=group, struct_column=struct_column, size=24, seed=number)
    arguments = {"mean": [0.0] * 3, "deviation": [1.0] * 3}
    splits = load(tmp_path, memory=memory, **arguments)
    for number, (part, labels) in enumerate(parts.items()):
        split = splits.parts[part]
        order = torch.randperm(len(split))
        expected = torch.from_numpy(pictures(labels, 24, seed=number))[order]
        images, found = (torch.cat(each) for each in zip(*split.batches(order, 4), strict=True))
        assert torch.equal((images * 255).round().to(torch.uint8), expected)
        assert found.tolist() == [labels[n] for n in order]


def test_memory_and_disk_give_the_same_bytes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", LABELS, group=5)
    memory, disk = load(tmp_path), load(tmp_path, memory=0)
    assert isinstance(memory.train, TensorSplit) and isinstance(disk.train, StreamSplit)
    order = torch.randperm(len(memory.train))
    for mine, theirs in zip(
        memory.train.batches(order, 7), disk.train.batches(order, 7), strict=True
    ):
        assert torch.equal(mine[0], theirs[0])
        assert torch.equal(mine[1], theirs[1])


def test_classes_are_those_in_the_metadata(tmp_path: Path) -> None:
    write_parquet(tmp_path / "named.parquet", LABELS, names=["ant", "bee", "cat", "dog", "eel"])
    write_parquet(tmp_path / "numbered.parquet", LABELS)
    assert opened(tmp_path / "named.parquet").classes == 5
    assert opened(tmp_path / "numbered.parquet").classes == 3
    assert opened(tmp_path / "numbered.parquet", classes=4).classes == 4
    with pytest.raises(DsxError, match=r"cat, dog, eel\): has 5 class names, not 6"):
        load(tmp_path / "named.parquet", classes=6)


@pytest.mark.parametrize(
    "noted", [b"{", b"[]", b"{}", b'{"info": {"features": {"label": {"names": null}}}}']
)
def test_a_file_without_class_names_is_accepted(noted: bytes, tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", LABELS)
    table = parquet.read_table(file).replace_schema_metadata({"huggingface": noted})
    parquet.write_table(table, file)
    assert opened(file).classes == 3


def test_the_largest_label_of_all_files_counts(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", LABELS)
    write_parquet(tmp_path / "train-1.parquet", [*LABELS, 6, 6, 6])
    assert opened(tmp_path).classes == 7


def test_the_contents_are_known_without_decoding(tmp_path: Path) -> None:
    for name, labels in (("Training-0", LABELS), ("training-1", LABELS), ("eval", LABELS[:6])):
        write_parquet(tmp_path / f"{name}.parquet", labels, names=["ant", "bee", "cat"])
    data = opened(tmp_path)
    assert data.counted_classes == "3 classes (ant, bee, cat)"
    assert data.contents is not None
    assert [(part.images_per_class, part.source) for part in data.contents().splits.values()] == [
        ([16, 16, 16], "Training-0.parquet, training-1.parquet"),
        ([1, 1, 1], "the other half of eval.parquet"),
        ([1, 1, 1], "half of eval.parquet, sampled by class"),
    ]


def test_a_path_that_names_two_splits_is_rejected(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train" / "test-0.parquet", LABELS)
    with pytest.raises(DsxError, match=r"/train/test-0.parquet: names several splits, test and"):
        opened(tmp_path)


@pytest.mark.parametrize("memory", [0, 2])
def test_deep_images_of_low_values_are_read(memory: float, tmp_path: Path) -> None:
    values = pictures(LABELS, 24)
    images = [png16(pixels.transpose(1, 2, 0)) for pixels in values]
    write_parquet(tmp_path / "a.parquet", LABELS, images)
    splits = load(tmp_path, memory=memory)
    assert "is [0, 255], the range of the training images" in splits.notes[0]
    ((pixels, _),) = splits.train.batches(torch.arange(18), 18)
    assert pixels.std() > 0.9


def test_columns_can_have_other_names(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", LABELS, columns=("img", "fine_label"))
    assert sizes(load(tmp_path, image_column="img", label_column="fine_label")) == [18, 3, 3]


def test_shape_and_classes_need_no_files(tmp_path: Path) -> None:
    data = opened(tmp_path / "none", classes=7, channels=1)
    assert (data.image_shape, data.classes) == ((1, 24, 24), 7)


def test_the_fingerprint_of_a_stream_does_not_depend_on_the_root(tmp_path: Path) -> None:
    prints, given = [], {"memory": 0, "mean": [0.5] * 3, "deviation": [0.5] * 3}
    for folder, labels, seed in (("a", LABELS, 0), ("b", LABELS, 0), ("c", LABELS, 1)):
        write_parquet(tmp_path / folder / "x.parquet", labels, seed=seed)
        prints.append(load(tmp_path / folder, **given).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_the_fingerprint_of_a_stream_depends_on_the_rows(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", sorted(LABELS))
    given = {"memory": 0, "mean": [0.5] * 3, "deviation": [0.5] * 3}
    one, other = (load(file, split_seed=seed, **given).train for seed in (0, 1))
    assert one.labels.tolist() == other.labels.tolist()
    assert one.fingerprint != other.fingerprint


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", LABELS)
    (tmp_path / "._train.parquet").write_bytes(b"?")
    assert sizes(load(tmp_path)) == [18, 3, 3]


Make = Callable[[Path], object]


def written(name: str, labels: list[int | None], **arguments: Any) -> Make:
    return lambda folder: write_parquet(folder / name, labels, **arguments)


def typed(image: pa.Array, label: pa.Array) -> Make:
    table = pa.table([image, label], names=["image", "label"])
    return lambda folder: parquet.write_table(table, folder / "a.parquet")


def with_picture(content: bytes | None) -> Make:
    images: list[bytes | None] = [png(pixels) for pixels in pictures(LABELS)]
    images[13] = content
    return lambda folder: write_parquet(folder / "a.parquet", list(LABELS), images)


def both(*makes: Make) -> Make:
    return lambda folder: [make(folder) for make in makes]


def cut(folder: Path) -> None:
    file = write_parquet(folder / "a.parquet", list(LABELS))
    file.write_bytes(file.read_bytes()[:-100])


def damaged(folder: Path) -> None:
    file = write_parquet(folder / "a.parquet", list(LABELS))
    content = bytearray(file.read_bytes())
    content[40:4000] = bytes(3960)
    file.write_bytes(content)


BYTES = pa.array([b"x", b"y"])
WRONG: list[tuple[Make, str]] = [
    (lambda folder: None, r"DIR: there are no .parquet files \(put the files of the dataset there"),
    (lambda folder: (folder / "a.parquet").write_bytes(b""), "DIR/a.parquet: is not a Parquet"),
    (lambda folder: (folder / "a.parquet").write_bytes(b"PAR1<html>"), "DIR/a.parquet: is not a P"),
    (cut, "DIR/a.parquet: is not a Parquet file, or damaged: "),
    (damaged, "DIR/a.parquet: row 0: cannot be read: "),
    (written("a.parquet", [0, 1], columns=("img", "y")),
     r"DIR/a.parquet: image_column: no column 'image' \(allowed: img, y\)$"),
    (written("a.parquet", [0, 1], columns=("image", "fine_label")),
     r"DIR/a.parquet: label_column: no column 'label' \(allowed: image, fine_label\)$"),
    (typed(pa.array(["x", "y"]), pa.array([0, 1])),
     r"DIR/a.parquet: column 'image' is string \(allowed: binary, or a struct"),
    (typed(pa.array([{"path": "x"}] * 2), pa.array([0, 1])),
     r"DIR/a.parquet: column 'image' is struct<path: string> \(allowed"),
    (typed(BYTES, pa.array(["a", "b"])),
     r"DIR/a.parquet: column 'label' is string \(allowed: integers\)$"),
    (typed(BYTES, pa.array([0.0, 1.0])), "DIR/a.parquet: column 'label' is double"),
    (written("a.parquet", [0, 1, None]), "DIR/a.parquet: row 2: has no label$"),
    (written("a.parquet", [0, 1, -1, 0]),
     r"DIR/a.parquet: row 2: label -1 \(allowed: 0 to 2; remove files whose labels are not pub"),
    (written("a.parquet", [0, 1, 2, 3]), r"DIR/a.parquet: row 3: label 3 \(allowed: 0 to 2\)$"),
    (written("a.parquet", []), "the train split is empty$"),
    (both(written("train.parquet", [0]), written("val.parquet", [])),
     "the validation split is empty$"),
    (with_picture(None), "DIR/a.parquet: row 13: has no image$"),
    (with_picture(b""), r"DIR/a.parquet: row 13: is empty \(0 bytes\)$"),
    (with_picture(b"?"), "DIR/a.parquet: row 13: cannot be decoded: a format that Pillow"),
    (both(written("train.parquet", [0]), written("others.parquet", [0])),
     r"DIR/others.parquet: cannot be assigned to a split \(allowed in its path: train, "),
    (both(written("test.parquet", [0]), written("val.parquet", [0])),
     r"DIR: has no file for training \(allowed: 'train' in its path\)$"),
    (both(written("train.parquet", [0, 2]), written("test.parquet", [1]),
          written("val.parquet", [0])), "class '1' has test images, but no training images$"),
    (both(written("train.parquet", [0, 2], names=["ant", "bee", "cat"]),
          written("val.parquet", [0, 2])),
     "class 'ant': 1 images in validation .allowed: enough for test and validation"),
]  # fmt: skip


@pytest.mark.parametrize("memory", [0, 2])
@pytest.mark.parametrize(("make", "message"), WRONG)
def test_invalid_files_are_named(make: Make, message: str, memory: float, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(DsxError, match=f"^{message.replace('DIR', str(tmp_path))}") as caught:
        load(tmp_path, classes=3, memory=memory)
    assert "\n" not in str(caught.value)


def test_a_broken_image_of_a_stream_is_named_when_it_is_decoded(tmp_path: Path) -> None:
    with_picture(b"?")(tmp_path)
    with pytest.raises(DsxError, match=r"a.parquet: row 13: cannot be decoded: a format that P"):
        splits = load(tmp_path, memory=0, mean=[0.5] * 3, deviation=[0.5] * 3)
        for part in splits.parts.values():
            list(part.batches(torch.arange(len(part)), 2))


def test_a_file_that_changes_during_reading_is_named(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", LABELS)
    splits = opened(tmp_path, memory=0).load()
    file.write_bytes(b"PAR1" + bytes(100) + b"PAR2")
    with pytest.raises(DsxError, match=r"^.*/a.parquet: row \d+: cannot be read: Parquet magic"):
        list(splits.train.batches(torch.arange(3), 2))
    file.unlink()
    with pytest.raises(DsxError, match=r"^.*/a.parquet: row \d+: cannot be read: Failed to open"):
        list(splits.train.batches(torch.arange(3), 2))


def test_row_groups_too_large_to_stream_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "a.parquet", LABELS, group=12)
    monkeypatch.setattr(_parquet_files, "GROUP_MIB", 0.01)
    with pytest.raises(
        DsxError, match=r"a.parquet: has a row group of \d+ MiB, which is too large"
    ):
        load(tmp_path, memory=0)
    assert sizes(load(tmp_path)) == [18, 3, 3]
    write_parquet(tmp_path / "a.parquet", LABELS, group=1)
    assert sizes(load(tmp_path, memory=0)) == [18, 3, 3]


def test_rows_that_follow_each_other_are_read_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "a.parquet", LABELS, group=8)
    calls, read = [], parquet.ParquetFile.read_row_group

    def counted(self: Any, group: int, **more: Any) -> Any:
        calls.append(group)
        return read(self, group, **more)

    monkeypatch.setattr(parquet.ParquetFile, "read_row_group", counted)
    assert sizes(load(tmp_path, workers=1)) == [18, 3, 3]
    assert calls == [0, 1, 2]


def test_row_groups_are_not_kept(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", LABELS)
    load(tmp_path)
    assert not read_group.cache_info().currsize
    with_picture(b"?")(tmp_path)
    with pytest.raises(DsxError, match=r"row 13: cannot be decoded"):
        load(tmp_path)
    assert not read_group.cache_info().currsize


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": 3}, r"root: 3 \(allowed: a path\)"),
        ({"size": 0}, r"size: 0 \(allowed: an integer of at least 1\)"),
        ({"classes": 0}, r"classes: 0 \(allowed: an integer of at least 1\)"),
        ({"image_column": 3}, r"image_column: 3 \(allowed: the name of a column\)"),
        ({"label_column": None}, r"label_column: None \(allowed: the name of a column\)"),
        ({"test": 1.5}, r"test: 1.5 \(allowed: a number between 0 and 1\)"),
    ],
)
def test_invalid_arguments_are_rejected_before_reading(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(DsxError, match=f"^{message}"):
        open_data("parquet", {"root": "none", "classes": 3} | arguments)


def test_a_missing_pyarrow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "a.parquet", LABELS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(
        DsxError, match=r"^Parquet files require pyarrow \(pip install 'dsx\[parquet"
    ):
        opened(tmp_path)
