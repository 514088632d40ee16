"""The files of an archived study; an interrupted run can be completed by the next one.

study.json records the hash of each file. It is written first, and lists both the new and the
replaced files until all of them are in place.
"""

import functools
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dsx.files import (
    as_text,
    check_replaceable,
    digest,
    files,
    is_signed_file,
    read_sealed,
    sealed,
    sha256,
)

RECORD = "study.json"


def check(folder: Path, names: Iterable[str]) -> None:
    """Check that files can be written into a folder without replacing files of others.

    Args:
        folder: The folder, which may be missing.
        names: Names of the files, without the record.

    Raises:
        DsxError: If a file exists that is not of an archive or was changed since.
        OSError: If the folder cannot be written.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    files.check_writable(existing)
    if folder.exists():
        _present(folder, names)


def write(folder: Path, contents: Mapping[str, bytes], document: Mapping[str, Any]) -> None:
    """Write the files of a study and their record.

    Args:
        folder: The folder; created if it is missing.
        contents: Contents of the files by name, without the record.
        document: Content of the record, without the hashes.

    Raises:
        DsxError: If a file exists that is not of an archive or was changed since.
        OSError: If a file cannot be written; no file is replaced in this case.
    """
    files.make_folder(folder)
    with files.locked_folder(folder):
        replaced = _present(folder, contents)
        record = {**document, "files": {name: sha256(new) for name, new in contents.items()}}
        started = sealed({**record, "replaced": replaced})
        _write_together(folder, {**contents, RECORD: as_text(started).encode()})
        _write_together(folder, {RECORD: as_text(sealed(record)).encode()})


def _present(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Check that the existing files may be replaced, and compute their hashes."""
    record = read_sealed(folder / RECORD)
    found = {}
    for name in (RECORD, *names):
        check_replaceable(folder / name, functools.partial(_is_own, record, name))
        if (folder / name).exists():
            found[name] = digest(folder / name)
    return found


def _is_own(record: Mapping[str, Any] | None, name: str, file: Path) -> bool:
    if name == RECORD:
        return record is not None
    known = [(record or {}).get(key, {}).get(name) for key in ("files", "replaced")]
    # The name is checked first, because an unrecorded file may be large.
    return (any(known) and digest(file) in known) or is_signed_file(file)


def _write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write all files before the first of them is renamed; the last one is renamed first."""
    with ExitStack() as stack:
        for name, content in contents.items():
            file = folder / name
            partial = stack.enter_context(files.writing(file, replace=file.exists()))
            partial.write_bytes(content)
            files.sync(partial)
        # A file may have been changed in the meantime.
        _present(folder, contents)
