"""Walk over the folders of a dataset, which reads each folder once and regular files only."""

import errno
import os
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dsx.activity import Kind, activity
from dsx.errors import DsxError, printable
from dsx.files import special_kind

REPEATED, BROKEN = "repeated folder", "broken link"

SYSTEM = frozenset({
    "__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found",
})  # fmt: skip
"""Folders created by archivers and file systems, which are treated as hidden."""

NAMED = 3
"""Largest number of skipped entries of one kind that are listed."""

_BROKEN_LINK = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors of a broken link: to nothing, through a file, or to itself."""

Identity = tuple[int, int]
"""Device and inode, which do not depend on links."""


class File(NamedTuple):
    """Regular file of a dataset.

    Args:
        name: Path of the file relative to the root, with slashes.
        size: Size of the file in bytes.
        modified: Modification time of the file in nanoseconds.
    """

    name: str
    size: int
    modified: int


class FolderListing(NamedTuple):
    """Folders and images that are directly in a folder.

    Args:
        folders: Names of the folders in alphabetical order, without links.
        images: Names of the files with one of the suffixes, in alphabetical order.
    """

    folders: list[str]
    images: list[str]

    @property
    def is_wrapper(self) -> bool:
        """Whether there are folders and no images."""
        return bool(self.folders) and not self.images


class _Content(NamedTuple):
    """Direct content of a folder: its files, folders, and links to folders.

    All names are relative to the root of the dataset.
    """

    files: list[File]
    folders: list[str]
    links: list[str]


class Walk:
    """Walk over the folders of a dataset.

    The folders whose files are listed may be links, but must not be inside each other. Inside of
    them, a link to a folder is followed after all real folders have been read, and only if its
    target has not been read and does not contain the dataset. The result therefore depends neither
    on the order of names nor on cycles.

    Args:
        root: Folder of the dataset.

    Attributes:
        skipped: Paths of the entries that were not read, relative to the root, by kind.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.skipped: defaultdict[str, set[str]] = defaultdict(set)
        real = Path(os.path.realpath(root))
        self._read: set[Identity] = set()
        self._tops: dict[Identity, str] = {}
        for folder in (real, *real.parents):
            # An error is reported when the folder is read.
            with suppress(OSError):
                self._read.add(_identity(folder.stat()))

    def __str__(self) -> str:
        kinds = (_counted(kind, names) for kind, names in sorted(self.skipped.items()))
        return f"skipped {', '.join(kinds)}" if self.skipped else ""

    def folders(self, folder: str = "") -> list[str]:
        """List the folders in a folder, except hidden folders and links to outer folders.

        Args:
            folder: Path of the outer folder relative to the root; by default the root.

        Returns:
            Paths relative to the root, in alphabetical order.

        Raises:
            DsxError: If the folder cannot be read.
        """
        self._read.add(self._identity_of(folder))
        content = self._content(folder, ())
        for name in content.links:
            if self._identity_of(name) in self._read:
                self.skipped[REPEATED].add(name)
            else:
                content.folders.append(name)
        return sorted(content.folders)

    def list_folder(self, folder: str, suffixes: Collection[str]) -> FolderListing:
        """List the direct content of a folder, which then counts as neither read nor skipped.

        Args:
            folder: Path of the folder relative to the root.
            suffixes: Suffixes of images, in lower case.

        Returns:
            The folders and images.

        Raises:
            DsxError: If the folder cannot be read.
        """
        found = FolderListing([], [])
        for entry in _entries(self.root / folder):
            try:
                if entry.is_dir(follow_symlinks=False):
                    found.folders.append(entry.name)
                elif Path(entry.name).suffix.lower() in suffixes and not _is_broken(entry):
                    found.images.append(entry.name)
            except OSError as error:
                raise unreadable_error(entry.path, error) from error
        found.folders.sort()
        found.images.sort()
        return found

    def files(
        self, folders: Sequence[str], suffixes: Collection[str], unit: str = "file"
    ) -> list[list[File]]:
        """Find the regular files at any depth in some folders, without hidden files.

        Args:
            folders: Paths of the folders relative to the root.
            suffixes: Suffixes of the files, in lower case.
            unit: Name of one file in the reported activity, such as "image".

        Returns:
            The files of each folder in alphabetical order, with those directly in a folder first.

        Raises:
            DsxError: If one of the folders is the same as another or inside of it, or something
                cannot be read.
        """
        self._claim(folders)
        found: list[list[tuple[list[str], list[File]]]] = [[] for _ in folders]
        waiting, links = deque(enumerate(folders)), deque[tuple[int, str]]()
        with activity(Kind.LISTING_FILES, unit=unit) as step:
            while waiting or links:
                number, folder = waiting.popleft() if waiting else links.popleft()
                if not self._is_new(folder):
                    self.skipped[REPEATED].add(folder)
                    continue
                content = self._content(folder, suffixes)
                waiting += ((number, name) for name in content.folders)
                links += ((number, name) for name in content.links)
                found[number].append((folder.split("/"), content.files))
                step.advance(step.done + len(content.files))
        return [[file for _, files in sorted(content) for file in files] for content in found]

    def _claim(self, folders: Sequence[str]) -> None:
        """Register the folders whose files are listed, and check that they are disjoint."""
        real: dict[str, str] = {}
        for folder in folders:
            identity = self._identity_of(folder)
            if identity in self._tops:
                first = self.root / self._tops[identity]
                raise DsxError(f"{self.root / folder}: is the same folder as {first}")
            self._tops[identity] = folder
            real[os.path.realpath(self.root / folder)] = folder
        self._read |= set(self._tops)
        for path, folder in real.items():
            for outer in map(str, Path(path).parents):
                if outer in real:
                    raise DsxError(f"{self.root / folder}: is inside {self.root / real[outer]}")

    def _is_new(self, folder: str) -> bool:
        """Check whether a folder has not been read; a registered folder is new once."""
        identity = self._identity_of(folder)
        if self._tops.get(identity) == folder:
            return True
        is_read = identity in self._read
        self._read.add(identity)
        return not is_read

    def _content(self, folder: str, suffixes: Collection[str]) -> _Content:
        content = _Content([], [], [])
        prefix = f"{folder}/" if folder else ""
        for entry in _entries(self.root / folder):
            try:
                self._add(content, entry, prefix + entry.name, suffixes)
            except OSError as error:
                raise unreadable_error(entry.path, error) from error
        for found in content:
            found.sort()
        return content

    def _add(
        self, content: _Content, entry: os.DirEntry[str], name: str, suffixes: Collection[str]
    ) -> None:
        link = entry.is_symlink()
        _, dot, suffix = entry.name.rpartition(".")
        if link and _is_broken(entry):
            self.skipped[BROKEN].add(name)
        elif entry.is_dir():
            (content.links if link else content.folders).append(name)
        elif (dot + suffix).lower() in suffixes:
            status = entry.stat()
            if kind := special_kind(status):
                self.skipped[kind].add(name)
            else:
                content.files.append(File(name, status.st_size, status.st_mtime_ns))

    def _identity_of(self, folder: str) -> Identity:
        path = self.root / folder
        try:
            return _identity(path.stat())
        except OSError as error:
            raise unreadable_error(path, error) from error


def unreadable_error(path: Path | str, error: OSError) -> DsxError:
    """Build the one-line error for a file or folder that cannot be read.

    Args:
        path: Path of the file or folder.
        error: Error of the operating system, or of a library.

    Returns:
        The error, to be raised by the caller.
    """
    reason = " ".join(str(error.strerror or error).split())
    return DsxError(f"{path}: cannot be read: {reason}")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Iterate over the entries of a folder that are not hidden."""
    try:
        with os.scandir(folder) as entries:
            yield from (
                entry
                for entry in entries
                if not entry.name.startswith(".") and entry.name not in SYSTEM
            )
    except OSError as error:
        raise unreadable_error(folder, error) from error


def _is_broken(link: os.DirEntry[str]) -> bool:
    try:
        link.stat()
    except OSError as error:
        if error.errno not in _BROKEN_LINK:
            raise
        return True
    return False


def _counted(kind: str, names: Collection[str]) -> str:
    shown = [printable(name) for name in sorted(names)[:NAMED]]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{len(names):,} {kind}{'s' * (len(names) > 1)} ({', '.join(shown)}{more})"


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino
