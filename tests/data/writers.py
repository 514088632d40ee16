"""Write data sets in their published formats, byte for byte, with pictures that can be learnt."""

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
    """Draw noisy pictures of which each class has its own coarse pattern.

    Args:
        labels: Class of each of the N pictures.
        size: Rows and columns.
        channels: Channels.
        seed: Of the noise; the patterns are always the same.

    Returns:
        (N, channels, size, size).
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
    """Write CIFAR-10 or CIFAR-100 as published, with fewer images.

    Args:
        folder: Where to.
        classes: 10 or 100.
        train: Training images; CIFAR-10 has them in five batches.
        test: Test images.
        form: The pickled or the binary version.
        packed: As an archive, else as a folder.
        seed: Of the noise in the images.

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
        folder: Where to.
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
        # Not in the order of their numbers, as in the published archives.
        for name, content in sorted(files.items(), reverse=True):
            member = tarfile.TarInfo(f"{outer}/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return folder / archive


def cifar_binary(images: Pixels, labels: Sequence[int], classes: int) -> bytes:
    """Give a batch of the binary version: label bytes and pixels of one image after the other."""
    before = [[label] if classes == 10 else [label // 5, label] for label in labels]
    rows = images.reshape(len(labels), -1)
    return np.concatenate([np.array(before, dtype=np.uint8), rows], axis=1).tobytes()


def cifar_pickle(images: Pixels, labels: Sequence[int], classes: int) -> bytes:
    """Give a batch of the pickled version, which Python 2 wrote: protocol 2, byte strings."""
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
    """Pickle a dictionary of texts and pickled values."""
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
    """Write pictures, one folder per class.

    Args:
        folder: Where to.
        counts: Pictures by class, which may be a path (`train/cat`); by default 10 of 3 classes.
        size: Rows and columns.
        suffix: Of the files; says their format.
        seed: Of the noise in the pictures.

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
    """Write a file as Hugging Face's library does.

    Args:
        file: Where to.
        labels: Of the rows.
        images: Encoded pictures; by default PNG pictures that can be learnt.
        names: Of the classes; noted in the file if there are some.
        struct_column: Pictures as a struct of bytes and path, else as plain bytes.
        columns: Names of the columns.
        group: Rows in a group.
        size: Rows and columns of the pictures.
        seed: Of the noise in the pictures.

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
        noted = {"info": {"features": {columns[0]: {"_type": "Image"}, columns[1]: label}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(noted)})
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, file, row_group_size=group)
    return file


def png(pixels: Pixels) -> bytes:
    """Encode (C, H, W) as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(stream, "png")
    return stream.getvalue()
