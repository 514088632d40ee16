"""Recognition of unchanged files that dsx wrote, the only files that it replaces.

A single text or PNG file contains a hash of its content (`signed`). A set of files is recorded in a
JSON document next to them, with a hash of each file and of the document itself (`sealed`).
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
"""Number of bytes at the end of a file that contain the hash and everything after it."""
_MARKED = re.compile(rb"dsx[ \0]sha256 [0-9a-f]{64}")
_SEALED = re.compile(rb'"sha256": "[0-9a-f]{64}"\s*\}\s*$')
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"


def sha256(content: bytes) -> str:
    """Return the SHA-256 hash of the content of a file, in hexadecimal digits.

    Args:
        content: Content of the file.
    """
    return hashlib.sha256(content).hexdigest()


def signed(content: bytes) -> bytes:
    """Add a hash to the content: a final comment in HTML and SVG, a text chunk in PNG.

    Args:
        content: Content of an HTML, SVG or PNG file.

    Returns:
        The content with its hash.
    """
    end = _end(content)
    return content.removesuffix(end) + _mark(content) + end


def is_signed(content: bytes) -> bool:
    """Check whether the content of a file is unchanged since it was signed.

    Args:
        content: Content of the file.
    """
    end = _end(content)
    marked = content.removesuffix(end)
    unmarked = marked[: -len(_mark(content))] + end
    return signed(unmarked) == content


def is_signed_file(file: Path) -> bool:
    """Check whether a file is unchanged since its content was signed.

    Args:
        file: Path of a regular file of any size; a file without a hash is not read completely.

    Returns:
        Whether the file is signed and unchanged.

    Raises:
        OSError: If the file cannot be read.
    """
    return _MARKED.search(_tail(file)) is not None and is_signed(file.read_bytes())


def digest(file: Path) -> str:
    """Compute the SHA-256 hash of a file without loading its content into memory.

    Args:
        file: Path of a regular file.

    Returns:
        The hash in hexadecimal digits.

    Raises:
        OSError: If the file cannot be read.
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
    """Add its own hash to a JSON document.

    Args:
        document: Plain JSON values; "files" maps the names of files in the same folder to hashes.

    Returns:
        The document with the hash.
    """
    bare = {key: value for key, value in document.items() if key != SEAL}
    return {**bare, SEAL: sha256(json.dumps(bare).encode())}


def as_text(document: Mapping[str, Any]) -> str:
    """Return a document as indented JSON.

    Args:
        document: Plain JSON values.
    """
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def read_sealed(file: Path) -> dict[str, Any] | None:
    """Read a document that dsx sealed.

    Args:
        file: Path of a JSON file.

    Returns:
        The document, in which "files" and "replaced", if present, map names to hashes. None if the
        file is missing, was not written by dsx, or was changed.

    Raises:
        OSError: If the file cannot be read.
    """
    # The seal is the last entry. A file without a seal may have any size and is not read.
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
    """Check whether a path is an existing regular file: no link, folder, pipe or device.

    Args:
        file: The path.
    """
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def check_replaceable(file: Path, is_own: Callable[[Path], bool]) -> None:
    """Check that a path does not exist or is a file that may be replaced.

    Args:
        file: The path.
        is_own: Function that checks whether dsx wrote a regular file of any size.

    Raises:
        DsxError: If the path is not a regular file, or if dsx did not write the file.
        OSError: If the file cannot be read.
    """
    if not file.exists() and not file.is_symlink():
        return
    if not is_regular(file):
        raise DsxError(f"'{file}' exists and is not a regular file (choose another path)")
    if not is_own(file):
        raise DsxError(
            f"'{file}' exists, and dsx did not write it or it was changed since "
            "(choose another path, or remove it)"
        )


def write_own(file: Path, content: bytes, is_own: Callable[[Path], bool]) -> None:
    """Write a file atomically, and replace only a file that dsx wrote.

    Args:
        file: Path of the file; its folder exists.
        content: Content of the file.
        is_own: Function that checks whether dsx wrote a regular file of any size.

    Raises:
        DsxError: If another file exists at the path.
        OSError: If the file cannot be written; no temporary file is left.
    """
    check_replaceable(file, is_own)
    with files.writing(file, replace=file.exists()) as partial:
        partial.write_bytes(content)
        files.sync(partial)
        # The old file may have been changed during the write.
        check_replaceable(file, is_own)
