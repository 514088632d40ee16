"""Recognise the files that dsx wrote and that are unchanged since: it replaces no others.

A text or PNG file of its own carries a hash of its content (`signed`). A set of files is recorded
in a JSON document next to them, with a hash of each file and one of the document itself (`sealed`).
"""

import hashlib
import json
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dsx.errors import DsxError
from dsx.files import files

SEAL = "sha256"
_TAIL = 200
"""Bytes at the end of a file that hold the hash and all that follows it."""
_MARKED = re.compile(rb"dsx[ \0]sha256 [0-9a-f]{64}")
_SEALED = re.compile(rb'"sha256": "[0-9a-f]{64}"\s*\}\s*$')
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"


def sha256(content: bytes) -> str:
    """Return the hash of a file's content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def signed(content: bytes) -> bytes:
    """Add a hash of the content: a comment at the end of HTML or SVG, a text chunk of a PNG.

    Args:
        content: HTML, SVG or PNG.

    Returns:
        The content with its hash.
    """
    end = _end(content)
    return content.removesuffix(end) + _mark(content) + end


def is_signed(content: bytes) -> bool:
    """Check whether a file's content is unchanged since `signed` returned it."""
    end = _end(content)
    marked = content.removesuffix(end)
    unmarked = marked[: -len(_mark(content))] + end
    return signed(unmarked) == content


def is_signed_file(file: Path) -> bool:
    """Check whether a file is unchanged since its content was signed.

    Args:
        file: A regular file of any size; only one with a hash at its end is read as a whole.

    Returns:
        Whether it is.

    Raises:
        OSError: If it cannot be read.
    """
    return _MARKED.search(_tail(file)) is not None and is_signed(file.read_bytes())


def digest(file: Path) -> str:
    """Return the hash of a file as `sha256` does, without holding its content in memory.

    Args:
        file: A regular file.

    Returns:
        Hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    with files.open_regular(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _tail(file: Path) -> bytes:
    with files.open_regular(file) as opened:
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - _TAIL))
        return opened.read()


def _end(content: bytes) -> bytes:
    return _PNG_END if content.startswith(_PNG) else b""


def _mark(content: bytes) -> bytes:
    if not content.startswith(_PNG):
        return f"<!-- dsx sha256 {sha256(content)} -->\n".encode()
    chunk = b"tEXtdsx\0sha256 " + sha256(content).encode()
    return struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Add a hash of a JSON document to it.

    Args:
        document: Plain JSON values. "files" maps names of files next to it to their hashes.

    Returns:
        The document with the hash.
    """
    bare = {key: value for key, value in document.items() if key != SEAL}
    return {**bare, SEAL: sha256(json.dumps(bare).encode())}


def as_text(document: Mapping[str, Any]) -> str:
    """Return a document as JSON that is read by users too."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def read_sealed(file: Path) -> dict[str, Any] | None:
    """Read a document that dsx sealed.

    Args:
        file: A JSON file.

    Returns:
        The document, in which "files" and "replaced" map names to hashes if they are there; None if
        there is none, dsx did not write it, or it was changed since.

    Raises:
        OSError: If it cannot be read.
    """
    # The seal is the last entry. Without one, a file may be of any size.
    if not is_regular(file) or not _SEALED.search(_tail(file)):
        return None
    try:
        document = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or sealed(document)[SEAL] != document.get(SEAL):
        return None
    recorded = [document[key] for key in ("files", "replaced") if key in document]
    return document if all(map(_is_text_by_text, recorded)) else None


def _is_text_by_text(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def is_regular(file: Path) -> bool:
    """Check whether a path is a regular file: no link, folder, pipe or device, and not missing."""
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def check_replaceable(file: Path, is_own: Callable[[Path], bool]) -> None:
    """Check that no file is at a path, or one that may be replaced.

    Args:
        file: The path.
        is_own: Function that returns whether dsx wrote a regular file, which may be of any size.

    Raises:
        DsxError: If something else is there.
        OSError: If it cannot be read.
    """
    if not file.exists() and not file.is_symlink():
        return
    if not is_regular(file):
        raise DsxError(f"'{file}' exists and is not a regular file (choose another place)")
    if not is_own(file):
        raise DsxError(
            f"'{file}' exists, and dsx did not write it or it was changed since "
            "(choose another place, or remove it)"
        )


def write_own(file: Path, content: bytes, is_own: Callable[[Path], bool]) -> None:
    """Write a file, and replace only one that dsx wrote.

    Args:
        file: The file; its folder exists.
        content: The content.
        is_own: Function that returns whether dsx wrote a regular file, which may be of any size.

    Raises:
        DsxError: If another file is there.
        OSError: If the file cannot be written; nothing is left behind then.
    """
    check_replaceable(file, is_own)
    with files.writing(file, replace=file.exists()) as partial:
        partial.write_bytes(content)
        files.sync(partial)
        # It took time to write, and the old file may have been changed in between.
        check_replaceable(file, is_own)
