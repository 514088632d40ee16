"""Formats of weight files, detected from their content, since file extensions may be wrong."""

import enum
import zipfile
from io import BufferedReader

from dsx.errors import DsxError, quoted, raise_out_of_memory

_HEAD = 4096
_SHOWN = 60
_LONGEST_HEADER = 100_000_000
"""Largest header of a safetensors file in bytes, as defined by the format."""
_STARTS = {
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "compressed by gzip: decompress it first",
    b"\x93NUMPY": "a file of numpy",
    b"7z\xbc\xaf": "an archive of 7-Zip: unpack it first",
    b"GGUF": "a GGUF file",
}


class FileKind(enum.Enum):
    """Format of the content of a weight file."""

    SAFE = "safetensors"
    PICKLED = "torch.save"
    UNKNOWN = "unknown"


def detect_kind(opened: BufferedReader, file: str) -> FileKind:
    """Detect the format of a weight file from its content.

    Args:
        opened: File, opened at its beginning.
        file: Path of the file, for advice on how to convert it.

    Returns:
        The format; unknown if the content does not determine it.

    Raises:
        DsxError: If the file is empty, or has a format that contains no state dict.
    """
    head = opened.read(_HEAD)
    if not head:
        raise DsxError("is empty (0 bytes)")
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= _LONGEST_HEADER:
        return FileKind.SAFE
    if head.startswith(b"PK\x03\x04"):
        _check_archive(opened, file)
        return FileKind.PICKLED
    for start, what in _STARTS.items():
        if head.startswith(start):
            raise DsxError(f"is not a state dict, but {what}")
    if head[257:262] == b"ustar":
        raise DsxError("is not a state dict, but a tar archive: unpack it first")
    if (text := _text(head)) is not None:
        opening = f"{text[:_SHOWN]}..." if len(text) > _SHOWN else text
        raise DsxError(f"is a text file, not a state dict; it begins with {quoted(opening)}")
    return FileKind.PICKLED if head.startswith(b"\x80") else FileKind.UNKNOWN


def _check_archive(opened: BufferedReader, file: str) -> None:
    """Raise an error if an archive was not written by torch.save as a state dict."""
    try:
        with zipfile.ZipFile(opened) as archive:
            names = [name.partition("/")[2] or name for name in archive.namelist()]
    # zipfile raises many kinds of exceptions on damaged archives.
    except Exception as error:
        raise_out_of_memory(error)
        raise DsxError(
            "is damaged: it begins like a file of torch.save, but its end is missing or altered "
            "(the copy or download may be incomplete)"
        ) from error
    if "constants.pkl" in names:
        raise DsxError(
            "is a TorchScript archive, which contains code: save only its weights "
            f"(torch.save(torch.jit.load({quoted(file)}).state_dict(), 'weights.pth'))"
        )
    if any(name.startswith(("serialized_exported_program", "models/")) for name in names):
        raise DsxError(
            "is a program of torch.export, which contains code: save only its weights "
            f"(torch.save(dict(torch.export.load({quoted(file)}).state_dict), 'weights.pth'))"
        )
    if "data.pkl" not in names:
        raise DsxError("is a zip archive that torch.save did not write")


def _text(head: bytes) -> str | None:
    """Return the beginning of a text on one line; None if the content is not text."""
    # A multi-byte character may be truncated at the end.
    for end in range(len(head), max(len(head) - 4, 0), -1):
        try:
            text = head[:end].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        printable = all(char.isprintable() or char.isspace() for char in text)
        return " ".join(text.split()) if printable else None
    return None
