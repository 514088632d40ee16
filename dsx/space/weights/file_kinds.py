"""Kinds of weight files, recognised by their content: the end of a name may mislead."""

import enum
import zipfile
from io import BufferedReader

from dsx.errors import DsxError, quoted, raise_out_of_memory

_HEAD = 4096
_SHOWN = 60
_LONGEST_HEADER = 100_000_000
"""Bytes of the header of a safetensors file, at most, as the format defines."""
_STARTS = {
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "compressed by gzip: decompress it first",
    b"\x93NUMPY": "a file of numpy",
    b"7z\xbc\xaf": "an archive of 7-Zip: unpack it first",
    b"GGUF": "a GGUF file",
}


class Kind(enum.Enum):
    """Format in which the content of a file is to be read."""

    SAFE = "safetensors"
    PICKLED = "torch.save"
    UNKNOWN = "unknown"


def kind_of(opened: BufferedReader, file: str) -> Kind:
    """Recognise what a weight file is by its content.

    Args:
        opened: The file, at its beginning.
        file: Path of the file, for the advice on how to convert it.

    Returns:
        The kind; unknown where the content does not tell.

    Raises:
        DsxError: If the file is empty, or is recognised as something that holds no state dict.
    """
    head = opened.read(_HEAD)
    if not head:
        raise DsxError("is empty (0 bytes)")
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= _LONGEST_HEADER:
        return Kind.SAFE
    if head.startswith(b"PK\x03\x04"):
        _check_archive(opened, file)
        return Kind.PICKLED
    for start, what in _STARTS.items():
        if head.startswith(start):
            raise DsxError(f"is no state dict, but {what}")
    if head[257:262] == b"ustar":
        raise DsxError("is no state dict, but a tar archive: unpack it first")
    if (text := _text(head)) is not None:
        begin = f"{text[:_SHOWN]}..." if len(text) > _SHOWN else text
        raise DsxError(f"is a text file, and no state dict; it begins with {quoted(begin)}")
    return Kind.PICKLED if head.startswith(b"\x80") else Kind.UNKNOWN


def _check_archive(opened: BufferedReader, file: str) -> None:
    """Refuse archives that torch.save did not write."""
    try:
        with zipfile.ZipFile(opened) as archive:
            names = [name.partition("/")[2] or name for name in archive.namelist()]
    # Damaged archives make zipfile fail in many ways; all of them are about the file.
    except Exception as error:
        raise_out_of_memory(error)
        raise DsxError(
            "is damaged: it begins as what torch.save writes, and its end is missing or altered "
            "(was it copied or downloaded as a whole?)"
        ) from error
    if "constants.pkl" in names:
        raise DsxError(
            "is a TorchScript archive, which holds code: save its weights alone "
            f"(torch.save(torch.jit.load({quoted(file)}).state_dict(), 'weights.pth'))"
        )
    if any(name.startswith(("serialized_exported_program", "models/")) for name in names):
        raise DsxError(
            "is a program of torch.export, which holds code: save its weights alone "
            f"(torch.save(dict(torch.export.load({quoted(file)}).state_dict), 'weights.pth'))"
        )
    if "data.pkl" not in names:
        raise DsxError("is a zip archive that torch.save did not write")


def _text(head: bytes) -> str | None:
    """Return the beginning of a text on one line; None if the content is no text."""
    # A character of several bytes may be cut at the end.
    for end in range(len(head), max(len(head) - 4, 0), -1):
        try:
            text = head[:end].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        printable = all(char.isprintable() or char.isspace() for char in text)
        return " ".join(text.split()) if printable else None
    return None
