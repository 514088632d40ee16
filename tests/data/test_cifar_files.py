"""The published files of CIFAR-10 and CIFAR-100: all versions give the same images."""

import gzip
import io
import os
import pickle
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsx.data._cifar_files import CIFAR10, CIFAR100, Kind, _binary, _pickled, read_batches
from dsx.errors import DsxError
from tests.data.writers import (
    Form,
    cifar_binary,
    cifar_pickle,
    pictures,
    python2_pickle,
    write_cifar,
    write_files,
)

KINDS = {10: CIFAR10, 100: CIFAR100}
FORMS: tuple[Form, ...] = ("python", "binary")


def read(root: Path, kind: Kind = CIFAR10) -> tuple[torch.Tensor, ...]:
    train, test = read_batches(kind, root)
    return *train, *test


def test_the_writer_writes_what_numpy_reads() -> None:
    images, labels = pictures([3, 1, 2]), [3, 1, 2]
    with warnings.catch_warnings():
        # The published pickles call old names, and say 0 for False.
        warnings.simplefilter("ignore")
        content = pickle.loads(cifar_pickle(images, labels, 10), encoding="bytes")
    assert content.keys() == {b"batch_label", b"data", b"filenames", b"labels"}
    assert content[b"labels"] == labels
    assert (content[b"data"] == images.reshape(3, -1)).all()


# The writer numbers the images as it writes them, batch by batch in alphabetical order.
@pytest.mark.parametrize(("classes", "train", "test"), [(10, 0, 23), (100, 7, 0)])
def test_images_come_in_the_order_of_the_batches(
    classes: int, train: int, test: int, tmp_path: Path
) -> None:
    write_cifar(tmp_path, classes, train=23, test=7)
    images, labels, test_images, test_labels = read(tmp_path, KINDS[classes])
    assert images.shape == (23, 3, 32, 32)
    assert test_images.shape == (7, 3, 32, 32)
    assert images.dtype == test_images.dtype == torch.uint8
    assert labels.tolist() == [n * 7 % classes for n in range(train, train + 23)]
    assert test_labels.tolist() == [n * 7 % classes for n in range(test, test + 7)]
    expected = torch.from_numpy(pictures(test_labels.tolist(), seed=test))
    assert torch.equal(test_images, expected)


@pytest.mark.parametrize("classes", KINDS)
def test_all_versions_give_the_same_images(classes: int, tmp_path: Path) -> None:
    found = []
    for form in FORMS:
        for packed in (True, False):
            place = write_cifar(tmp_path / f"{form}{packed}", classes, 31, 12, form, packed)
            # The archive or folder itself, and the folder that contains it.
            found += [read(root, KINDS[classes]) for root in (place, place.parent)]
    for other in found:
        assert all(map(torch.equal, other, found[0]))


@given(st.integers(1, 9), st.sampled_from([10, 100]), st.integers(0, 2**32 - 1))
def test_a_batch_is_the_same_pickled_and_binary(count: int, classes: int, seed: int) -> None:
    random = np.random.RandomState(seed)
    labels = random.randint(0, classes, count).tolist()
    images = random.randint(0, 256, (count, 3, 32, 32)).astype(np.uint8)
    python = _pickled(KINDS[classes], io.BytesIO(cifar_pickle(images, labels, classes)))
    binary = _binary(KINDS[classes], io.BytesIO(cifar_binary(images, labels, classes)))
    for found in (python, binary):
        assert torch.equal(found[0], torch.from_numpy(images))
        assert found[1].tolist() == labels


def test_pickles_of_python_3_are_read(tmp_path: Path) -> None:
    names = [*CIFAR10.train, "test_batch"]
    content = {"data": pictures([1, 2]).reshape(2, -1), "labels": np.array([1, 2])}
    write_files(tmp_path, "cifar-10-batches-py", dict.fromkeys(names, pickle.dumps(content)), None)
    images, labels, *_ = read(tmp_path)
    assert labels.tolist() == [1, 2] * 5
    assert torch.equal(images[:2], torch.from_numpy(pictures([1, 2])))


def test_an_archive_may_have_any_name_and_compression(tmp_path: Path) -> None:
    archive = write_cifar(tmp_path, 10, 10, 2)
    plain = tmp_path / "subset.tar"
    plain.write_bytes(gzip.decompress(archive.read_bytes()))
    assert all(map(torch.equal, read(plain), read(archive)))


def test_nothing_is_extracted_to_disk(tmp_path: Path) -> None:
    archive = write_cifar(tmp_path / "data", 10, 10, 2)
    hostile = tmp_path / "data" / "hostile.tar"
    with tarfile.open(archive) as source, tarfile.open(hostile, "w") as target:
        for member in source:
            member.name = f"../../{member.name}"
            target.addfile(member, source.extractfile(member))
        link = tarfile.TarInfo("cifar/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        target.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    assert all(map(torch.equal, read(hostile), read(archive)))
    assert sorted(tmp_path.rglob("*")) == before


def unpacked(folder: Path, classes: int = 10, form: Form = "python") -> Path:
    return write_cifar(folder, classes, 20, 4, form, packed=False)


def changed(
    name: str, change: Callable[[bytes], bytes], form: Form = "python", classes: int = 10
) -> Callable[[Path], Path]:
    """Return a writer of a dataset in which one file is changed."""

    def make(folder: Path) -> Path:
        file = unpacked(folder, classes, form) / name
        file.write_bytes(change(file.read_bytes()))
        return folder

    return make


def made(content: dict[str, Any]) -> Callable[[Path], Path]:
    """Return a writer of a dataset in which one pickle has another content."""
    return changed("data_batch_2", lambda _: pickle.dumps(content, 4))


def without(name: str, form: Form = "python") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (unpacked(folder, 10, form) / name).unlink()
        return folder

    return make


def cut(folder: Path) -> Path:
    archive = write_cifar(folder, 10, 100, 20)
    archive.write_bytes(archive.read_bytes()[: -archive.stat().st_size // 3])
    return folder


def flipped(folder: Path) -> Path:
    archive = write_cifar(folder, 10, 100, 20)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    archive.write_bytes(content)
    return folder


def not_an_archive(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "cifar-10-binary.tar.gz").write_bytes(content)
        return folder

    return make


def other_archive(folder: Path) -> Path:
    return write_cifar(folder, 100, 20, 4).rename(folder / "cifar-10-python.tar.gz").parent


def twice(folder: Path) -> Path:
    files = {"data_batch_1": cifar_pickle(pictures([1]), [1], 10)}
    files["data_batch_1.bin"] = cifar_binary(pictures([1]), [1], 10)
    return write_files(folder, "cifar-10-batches-py", files, None)


TABLE = pictures([1, 2]).reshape(2, -1)
WRONG: list[tuple[Callable[[Path], Path], str]] = [
    (lambda folder: folder, r"DIR: CIFAR-10 is missing \(put cifar-10-batches-py or cifar-10-"
     r"batches-bin or cifar-10-python.tar.gz or cifar-10-binary.tar.gz there, from https://"),
    (lambda folder: folder / "a" / "b", "DIR/a/b: CIFAR-10 is missing"),
    (without("data_batch_3"), "DIR/cifar-10-batches-py: data_batch_3 of CIFAR-10 is missing"),
    (without("test_batch.bin", "binary"), "DIR/.*-bin: test_batch of CIFAR-10 is missing"),
    (lambda folder: unpacked(folder, 100), "DIR/cifar-100-python: is CIFAR-100, not CIFAR-10$"),
    (other_archive, "DIR/cifar-10-python.tar.gz: is CIFAR-100, not CIFAR-10$"),
    (twice, "DIR/cifar-10-batches-py: contains the batch data_batch_1 twice$"),
    (not_an_archive(b""), "DIR/cifar-10-binary.tar.gz: is empty"),
    (not_an_archive(b"<html>"), "DIR/cifar-10-binary.tar.gz: is damaged, or not of CIFAR-10: file"),
    (cut, "DIR/cifar-10-python.tar.gz.*: is damaged, or not of CIFAR-10: Compressed file ended"),
    (flipped, "DIR/cifar-10-python.tar.gz.*: is damaged, or not of CIFAR-10: "),
    (changed("data_batch_2", lambda old: b""), "DIR/cifar-10-batches-py/data_batch_2: is damaged"),
    (changed("data_batch_2", lambda old: old[:99]), "DIR/.*/data_batch_2: is damaged, or not of"),
    (changed("data_batch_2", lambda old: b"\x80\x02cos\nsystem\nU\x04true\x85R."),
     "DIR/.*/data_batch_2: is damaged, or not of CIFAR-10: it requires os.system$"),
    (changed("data_batch_1.bin", lambda old: b"", "binary"), "DIR/.*_1.bin: .*: it has no images$"),
    (changed("data_batch_1.bin", lambda old: old[:-1], "binary"),
     r"DIR/.*/data_batch_1.bin: .*: it has 12291 bytes \(allowed: a multiple of 3073\)$"),
    (changed("data_batch_1.bin", lambda old: b"\x0a" + old[1:], "binary"),
     r"DIR/.*/data_batch_1.bin: .*: it has the label 10 \(allowed: 0 to 9\)$"),
    (changed("data_batch_2", lambda _: b"]."), "DIR/.*_2: .*: it does not contain a dict$"),
    (made({"data": TABLE}), "DIR/.*/data_batch_2: .*: it has no 'labels'$"),
    (made({"labels": [1, 2], "fine_labels": [1, 2]}), "DIR/.*/data_batch_2: .* it has no 'data'$"),
    (made({"data": TABLE, "labels": [1]}), "DIR/.*: it has 2 images, but 1 labels$"),
    (made({"data": TABLE, "labels": [1, -1]}), r"DIR/.*: it has the label -1 \(allowed: 0 to 9\)$"),
    (made({"data": TABLE, "labels": [1, 0.5]}), "DIR/.*: its labels are not a list of integers$"),
    (made({"data": TABLE, "labels": [[1], [2]]}), "DIR/.*: its labels are not a list of"),
    (made({"data": TABLE.astype(int), "labels": [1, 2]}), "DIR/.*: its data are not a two-"),
    (made({"data": TABLE[0], "labels": [1, 2]}), "DIR/.*: its data are not a two-dimensional"),
    (made({"data": [1, 2], "labels": [1, 2]}), "DIR/.*: its data are not a two-dimensional"),
    (made({"data": TABLE[:, 1:], "labels": [1, 2]}),
     r"DIR/.*: its images have 3071 bytes \(allowed: 3072\)$"),
    (made({"data": TABLE[:0], "labels": []}), "DIR/.*: its labels are not a list of integers$"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_invalid_files_are_named(
    make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:  # fmt: skip
    root = make(tmp_path)
    with pytest.raises(DsxError, match=f"^{message.replace('DIR', str(tmp_path))}") as caught:
        read(root)
    assert "\n" not in str(caught.value)


def test_the_fine_labels_are_checked(tmp_path: Path) -> None:
    content = cifar_binary(pictures([99]), [99], 100)
    assert content[:2] == bytes([19, 99])
    files = {"train.bin": content, "test.bin": b"\x13\x64" + content[2:]}
    root = write_files(tmp_path, "cifar-100-binary", files, None)
    with pytest.raises(DsxError, match=r"test.bin: .*: it has the label 100 \(allowed: 0 to 99\)$"):
        read(root, CIFAR100)


def test_a_folder_of_the_other_kind_is_not_read(tmp_path: Path) -> None:
    write_cifar(tmp_path, 100)
    with pytest.raises(DsxError, match=r"CIFAR-10 is missing"):
        read(tmp_path)
    write_cifar(tmp_path, 10)
    assert len(read(tmp_path)[0]) == 500


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = unpacked(tmp_path)

    def refuse(*arguments: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DsxError, match=r"batches-py: cannot be read: Permission denied$"):
        read(folder)


def test_an_exception_without_message_is_named_by_its_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(stream: object) -> None:
        raise EOFError

    monkeypatch.setattr("dsx.data._cifar_files.read_arrays", full)
    with pytest.raises(DsxError, match=r"is damaged, or not of CIFAR-10: EOFError$"):
        read(unpacked(tmp_path))


def test_a_pickle_with_code_runs_none(tmp_path: Path) -> None:
    folder, marker = unpacked(tmp_path), tmp_path / "marker"
    code = f"open({str(marker)!r}, 'w')".encode()
    call = b"cbuiltins\neval\nU" + bytes([len(code)]) + code + b"\x85R"
    (folder / "test_batch").write_bytes(python2_pickle({"data": call}))
    with pytest.raises(DsxError, match=r"test_batch: .*: it requires builtins.eval$"):
        read(folder)
    assert not marker.exists()
