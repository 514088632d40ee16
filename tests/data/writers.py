"""Writers of datasets in their published formats, with images that can be learned."""

import io
import struct
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Form = Literal["python", "binary"]


def pictures(labels: Sequence[int], size: int = 32, channels: int = 3, seed: int = 0) -> Pixels:
    """Generate noisy images, in which each class has its own coarse pattern.

    Args:
        labels: Class of each of the N images.
        size: Height and width.
        channels: Number of channels.
        seed: Random seed of the noise; the patterns are fixed.

    Returns:
        Images, (N, channels, size, size).
    """
    found = np.empty((len(labels), channels, size, size), dtype=np.uint8)
    noise = np.random.RandomState(seed)
    rows = np.arange(size) * 4 // size
    for number, label in enumerate(labels):
        pattern = np.random.RandomState(label).randint(40, 216, (channels, 4, 4))
        found[number] = pattern[:, rows][:, :, rows] + noise.randint(-40, 40, found.shape[1:])
    return found


def write_cifar(
    folder: Path,
    classes: int = 10,
    train: int = 500,
    test: int = 100,
    form: Form = "python",
    packed: bool = True,
    seed: int = 0,
) -> Path:
    """Write CIFAR-10 or CIFAR-100 in the published format, with fewer images.

    Args:
        folder: Folder in which the dataset is written.
        classes: 10 or 100.
        train: Number of training images, which CIFAR-10 has in five batches.
        test: Number of test images.
        form: Pickled or binary version.
        packed: Whether to write an archive instead of a folder.
        seed: Random seed of the noise in the images.

    Returns:
        The archive or the folder.
    """
    kind = f"cifar-{classes}"
    parts = {"test_batch" if classes == 10 else "test": test}
    names = [f"data_batch_{n}" for n in range(1, 6)] if classes == 10 else ["train"]
    for number, name in enumerate(names):
        parts[name] = train * (number + 1) // len(names) - train * number // len(names)
    files, first = {}, 0
    for name, count in sorted(parts.items()):
        labels = [n * 7 % classes for n in range(first, first + count)]
        images = pictures(labels, seed=seed + first)
        first += count
        if form == "python":
            files[name] = cifar_pickle(images, labels, classes)
        else:
            files[f"{name}.bin"] = cifar_binary(images, labels, classes)
    files["batches.meta" if classes == 10 else "meta"] = b"what no reader needs"
    ends = {"python": ("batches-py", "python"), "binary": ("batches-bin", "binary")}[form]
    outer = f"{kind}-{ends[classes != 10]}"
    return write_files(folder, outer, files, f"{kind}-{form}.tar.gz" if packed else None)


def write_files(folder: Path, outer: str, files: Mapping[str, bytes], archive: str | None) -> Path:
    """Write files into a folder, or into an archive of that folder.

    Args:
        folder: Folder in which the folder or archive is written.
        outer: Name of the folder.
        files: Content by name.
        archive: Name of the archive, or None for a folder.

    Returns:
        The archive or the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if archive is None:
        (folder / outer).mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / outer / name).write_bytes(content)
        return folder / outer
    with tarfile.open(folder / archive, "w:gz", compresslevel=1) as packed:
        directory = tarfile.TarInfo(outer)
        directory.type = tarfile.DIRTYPE
        packed.addfile(directory)
        # As in the published archives, the batches are not in the order of their numbers.
        for name, content in sorted(files.items(), reverse=True):
            member = tarfile.TarInfo(f"{outer}/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return folder / archive


def cifar_binary(images: Pixels, labels: Sequence[int], classes: int) -> bytes:
    """Return a batch of the binary version: label bytes and pixels, image by image."""
    before = [[label] if classes == 10 else [label // 5, label] for label in labels]
    rows = images.reshape(len(labels), -1)
    return np.concatenate([np.array(before, dtype=np.uint8), rows], axis=1).tobytes()


def cifar_pickle(images: Pixels, labels: Sequence[int], classes: int) -> bytes:
    """Return a batch of the pickled version, as written by Python 2: protocol 2, byte strings."""
    table = images.reshape(len(images), -1)
    content = {"batch_label": _text(b"a batch of a few"), "data": _array(table)}
    content["filenames"] = _list(_text(b"%06d.png" % n) for n in range(len(labels)))
    if classes == 10:
        content["labels"] = _list(_number(label) for label in labels)
    else:
        content["coarse_labels"] = _list(_number(label // 5) for label in labels)
        content["fine_labels"] = _list(_number(label) for label in labels)
    return python2_pickle(content)


def python2_pickle(content: Mapping[str, bytes]) -> bytes:
    """Pickle a dict of strings and pickled values."""
    items = b"".join(_text(key.encode()) + value for key, value in content.items())
    return b"\x80\x02}(" + items + b"u."


def _array(table: Pixels) -> bytes:
    dtype = b"cnumpy\ndtype\n" + _text(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + _text(b"|") + b"NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _text(b"b")
    shape = b"".join(map(_number, table.shape)) + b"\x86"
    data = b"T" + struct.pack("<i", table.nbytes) + table.tobytes()
    return empty + b"\x87R(K\x01" + shape + dtype + b"\x89" + data + b"tb"


def _list(values: Iterable[bytes]) -> bytes:
    return b"](" + b"".join(values) + b"e"


def _number(value: int) -> bytes:
    return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)


def _text(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def write_folder(
    folder: Path,
    counts: Mapping[str, int] | None = None,
    size: int = 40,
    suffix: str = ".jpg",
    seed: int = 0,
) -> Path:
    """Write images with one folder per class.

    Args:
        folder: Folder in which the images are written.
        counts: Number of images by class, which may be a path (`train/cat`); by default 10 images
            of 3 classes.
        size: Height and width.
        suffix: Suffix of the files, which determines their format.
        seed: Random seed of the noise in the images.

    Returns:
        The folder.
    """
    from PIL import Image

    counts = counts or {"ant": 10, "bee": 10, "cat": 10}
    classes = sorted({Path(name).name for name in counts})
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        labels = [classes.index(Path(name).name)] * count
        for image, pixels in enumerate(pictures(labels, size, seed=seed + 1000 * number)):
            Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / name / f"{image:04}{suffix}")
    return folder


def write_parquet(
    file: Path,
    labels: Sequence[int | None],
    images: Sequence[bytes | None] | None = None,
    names: Sequence[str] = (),
    struct_column: bool = True,
    columns: tuple[str, str] = ("image", "label"),
    group: int = 100,
    size: int = 40,
    seed: int = 0,
) -> Path:
    """Write a Parquet file in the format of the library of Hugging Face.

    Args:
        file: Path of the file.
        labels: Labels of the rows.
        images: Encoded images; by default PNG images that can be learned.
        names: Names of the classes, which are written to the metadata if given.
        struct_column: Whether images are stored as a struct of bytes and path instead of plain
            bytes.
        columns: Names of the columns.
        group: Number of rows in a group.
        size: Height and width of the images.
        seed: Random seed of the noise in the images.

    Returns:
        The file.
    """
    import json

    import pyarrow as pa
    from pyarrow import parquet

    if images is None:
        images = [
            png(pixels) for pixels in pictures([max(n or 0, 0) for n in labels], size, seed=seed)
        ]
    values = [{"bytes": data, "path": None} for data in images] if struct_column else images
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    arrays = [
        pa.array(values, type=kind if struct_column else pa.binary()),
        pa.array(labels, type=pa.int64()),
    ]
    table = pa.table(arrays, names=list(columns))
    if names:
        label = {"names": list(names), "_type": "ClassLabel"}
        metadata = {"info": {"features": {columns[0]: {"_type": "Image"}, columns[1]: label}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, file, row_group_size=group)
    return file


def png(pixels: Pixels) -> bytes:
    """Encode pixels (C, H, W) as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(stream, "png")
    return stream.getvalue()
