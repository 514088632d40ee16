"""The folder of an export: a new or empty one, or that of an unchanged earlier export."""

import errno
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from safetensors import SafetensorError

from dsx.errors import DsxError, parameter, unwritable_in_one_line
from dsx.export.kernels import is_built
from dsx.files import digest, files, folders, is_regular, read_sealed

MANIFEST = "manifest.json"
_BYTECODE = re.compile(r"(?:model|__init__|compiling|interface)\.[\w.-]+\.pyc")


def check_place(out: Path, force: bool) -> None:
    """Check in advance that an export can be written to a folder.

    Args:
        out: Folder of the export.
        force: Whether an earlier export may be replaced.

    Raises:
        DsxError: If the folder contains other files, or cannot be written.
    """
    if out.is_symlink():
        raise DsxError(f"{parameter('out')}: '{out}' is a symbolic link (allowed: a folder)")
    place = _target(out)
    with unwritable_in_one_line(parameter("out"), out):
        if out.exists() and not out.is_dir():
            raise DsxError(f"{parameter('out')}: '{out}' is a file, not a folder")
        if Path.cwd().is_relative_to(place):
            raise DsxError(
                f"{parameter('out')}: '{out}' is or contains the current folder (choose another)"
            )
        files.check_writable(next(path for path in place.parents if path.exists()))
        files.remove_abandoned(place)
        if out.exists():
            _check_content(place, out, force)


def _target(out: Path) -> Path:
    # Not Path.resolve, which raises an error that is no OSError for a link to itself.
    return Path(os.path.realpath(out))


@contextmanager
def atomic_export(out: Path, force: bool) -> Iterator[Path]:
    """Write an export to a temporary folder, and move it into place when it is complete.

    Args:
        out: Folder of the export.
        force: Whether an earlier export may be replaced.

    Yields:
        An empty temporary folder, which only its owner can read.

    Raises:
        DsxError: If the folder contains other files, or cannot be written.
    """
    with ExitStack() as stack:
        with writing_temporary():
            folder = stack.enter_context(folders.scratch())
        yield folder
        check_place(out, force)
        with unwritable_in_one_line(parameter("out"), out):
            folders.put(folder, _target(out), lambda place: _check_content(place, out, force))


@contextmanager
def writing_temporary() -> Iterator[None]:
    """Report errors about files in the temporary folder in one line that names the folder.

    Raises:
        DsxError: If the body raises an error about files.
    """
    with unwritable_in_one_line("the temporary folder (TMPDIR)", Path(tempfile.gettempdir())):
        try:
            yield
        except SafetensorError as error:
            # It has no error number, only a message such as "File too large (os error 27)".
            number = re.search(r"os error (\d+)", str(error))
            code = int(number[1]) if number else errno.EIO
            raise OSError(code, os.strerror(code) if number else str(error)) from error


def _check_content(place: Path, out: Path, force: bool) -> None:
    """Check that a folder is empty, or that it may be replaced and is an unchanged export."""
    if not force and any(place.iterdir()):
        raise DsxError(
            f"{parameter('out')}: '{out}' exists already (choose another, or replace it: "
            f"{parameter('force', True)})"
        )
    manifest = read_sealed(place / MANIFEST)
    recorded = {} if manifest is None else manifest.get("files", {})
    for entry in _entries(place, {f"{place}/{name}" for name in recorded}):
        name = entry.relative_to(place).as_posix()
        if name == MANIFEST and manifest is not None:
            continue
        # The name is checked first, since a file that is not recorded may have any size.
        known = recorded.get(name)
        if known is not None and is_regular(entry) and known == digest(entry):
            continue
        if manifest is not None and (_is_cache(entry) or (is_built(entry) and is_regular(entry))):
            continue
        raise DsxError(
            f"{parameter('out')}: '{out}' is not replaced: '{name}' is not part of an "
            "export, or was modified (move it, or choose another folder)"
        )


def _entries(folder: Path, recorded: Collection[str]) -> Iterator[Path]:
    """Iterate over the entries of a folder and of the folders in it that hold recorded files."""
    for entry in sorted(folder.iterdir(), key=lambda entry: (entry.name != MANIFEST, entry.name)):
        inner = any(name.startswith(f"{entry}/") for name in recorded)
        if inner and entry.is_dir() and not entry.is_symlink():
            yield from _entries(entry, recorded)
        else:
            yield entry


def _is_cache(entry: Path) -> bool:
    """Check whether an entry is a cache folder with the bytecode of exported files."""
    return (
        entry.name == "__pycache__"
        and entry.is_dir()
        and not entry.is_symlink()
        and all(is_regular(file) and _BYTECODE.fullmatch(file.name) for file in entry.iterdir())
    )
