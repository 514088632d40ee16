"""A walk over the folders of a data set: each folder is read once, and regular files only."""

import os
import stat
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dsx.errors import DsxError

REPEATED, BROKEN = "repeated folder", "broken link"
_SPECIAL = {
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFDIR: "folder",
}
"""Kinds of entries that are no regular files; reading some of them never ends."""

Identity = tuple[int, int]
"""Device and inode, which no link changes."""


class Walk:
    """A walk over the folders of a data set.

    A link to a folder is followed after all real folders have been read, and only if its target has
    not been read and does not contain the data set. So the result depends neither on the order of
    names nor on cycles.

    Args:
        root: Folder of the data set.

    Attributes:
        skipped: Number of entries that were not read, by kind.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.skipped: Counter[str] = Counter()
        real = Path(os.path.realpath(root))
        self._read: set[Identity] = set()
        self._tops: dict[Identity, Path] = {}
        for folder in (real, *real.parents):
            # An error is reported when the folder is read.
            with suppress(OSError):
                self._read.add(_identity(folder.stat()))

    def __str__(self) -> str:
        kinds = [f"{n} {kind}{'s' * (n > 1)}" for kind, n in sorted(self.skipped.items())]
        return f"skipped {', '.join(kinds)}" if kinds else ""

    def folders(self, folder: Path) -> list[str]:
        """List the folders in a folder, without hidden ones and links to what contains them.

        Args:
            folder: The outer folder.

        Returns:
            Names in alphabetical order.

        Raises:
            DsxError: If it cannot be read.
        """
        with _errors_of(folder):
            self._read.add(_identity(folder.stat()))
        names = []
        for entry in _entries(folder):
            path = folder / entry.name
            with _errors_of(path):
                if not path.is_dir():
                    continue
                if entry.is_symlink() and _identity(path.stat()) in self._read:
                    self.skipped[REPEATED] += 1
                    continue
            names.append(entry.name)
        return names

    def files(
        self, folders: Sequence[Path], suffixes: Collection[str]
    ) -> list[list[tuple[Path, os.stat_result]]]:
        """Find the regular files at any depth in some folders, without hidden ones.

        Args:
            folders: Folders of which none contains another.
            suffixes: Suffixes of the files, in lower case.

        Returns:
            For each folder its files: those in the folder itself first, in alphabetical order.

        Raises:
            DsxError: If two of the folders are the same, or something cannot be read.
        """
        found: list[list[tuple[Path, os.stat_result]]] = [[] for _ in folders]
        waiting, links = deque[tuple[int, Path]](), deque[tuple[int, Path]]()
        for number, folder in enumerate(folders):
            self._claim(folder)
            waiting.append((number, folder))
        while waiting or links:
            number, folder = waiting.popleft() if waiting else links.popleft()
            if not self._is_new(folder):
                self.skipped[REPEATED] += 1
                continue
            for entry in _entries(folder):
                path, link = folder / entry.name, entry.is_symlink()
                with _errors_of(path):
                    if path.is_dir() if link else entry.is_dir():
                        (links if link else waiting).append((number, path))
                    elif path.suffix.lower() not in suffixes:
                        self.skipped[BROKEN] += link and not path.exists()
                    elif file := self._regular(path):
                        found[number].append((path, file))
        # A Counter keeps kinds that were counted zero times.
        self.skipped = +self.skipped
        return [sorted(files, key=_place_in_order) for files in found]

    def _claim(self, folder: Path) -> None:
        with _errors_of(folder):
            identity = _identity(folder.stat())
        if identity in self._tops:
            raise DsxError(f"{folder}: is the same folder as {self._tops[identity]}")
        self._tops[identity] = folder
        self._read.add(identity)

    def _is_new(self, folder: Path) -> bool:
        """Check whether a folder has not been read; one of those to begin with is new once."""
        with _errors_of(folder):
            identity = _identity(folder.stat())
        if self._tops.get(identity) == folder:
            return True
        known = identity in self._read
        self._read.add(identity)
        return not known

    def _regular(self, path: Path) -> os.stat_result | None:
        found = path.stat()
        if kind := _special(found):
            self.skipped[kind] += 1
            return None
        return found


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file without waiting for a writer or a device.

    Args:
        path: The file.

    Returns:
        The opened file.

    Raises:
        OSError: If it cannot be opened, or is no regular file.
    """
    # Looked at before it is opened, which has effects on some devices; and afterwards, since it may
    # have been replaced. Without O_NONBLOCK, opening a FIFO waits for a writer.
    _refuse_special(path.stat())
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _refuse_special(os.fstat(opened))
    except OSError:
        os.close(opened)
        raise
    return os.fdopen(opened, "rb")


def _refuse_special(found: os.stat_result) -> None:
    if kind := _special(found):
        raise OSError(0, f"a {kind}, not a regular file")


def _special(found: os.stat_result) -> str:
    """Name the kind of what is no regular file; an empty string for a regular one."""
    if stat.S_ISREG(found.st_mode):
        return ""
    return _SPECIAL.get(stat.S_IFMT(found.st_mode), "special file")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """List what is in a folder in alphabetical order, without hidden entries."""
    with _errors_of(folder), os.scandir(folder) as entries:
        return sorted(
            (entry for entry in entries if not entry.name.startswith(".")),
            key=lambda entry: entry.name,
        )


def _place_in_order(file: tuple[Path, os.stat_result]) -> list[tuple[bool, str]]:
    """Sort the files of a folder by name, and those of its folders after them."""
    *folders, name = file[0].parts
    return [*((True, folder) for folder in folders), (False, name)]


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DsxError(f"{path}: cannot be read: {error.strerror or error}") from error
