"""Presence: a file next to a SQLite database that can prove that the holder of a lease has ended.

The file only shortens the wait for a lease whose holder was killed; the database alone determines
whether a lease is taken over. The holder keeps the file locked, and the operating system releases
the lock when the process ends for any reason. The file contains the token of the lease and the boot
id of the machine. If both match and the file is not locked, a process under the running kernel had
locked this file for this lease and has ended, regardless of host names, process ids, namespaces and
clocks. In all other cases nothing is proved: if the database was copied or moved, the file was
deleted, the holder runs on another machine, the system has no boot id, or the holder or a child
process of it still exists.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine

from dsx.files import remove_abandoned, temporary_name, try_lock

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Presence:
    """The presence file of a study.

    Args:
        engine: Engine of the database; a server has no file, and nothing is ever proved.
        study: Name of the study.
    """

    def __init__(self, engine: Engine, study: str) -> None:
        database = database_file(engine)
        # Quoted, since a database from another source may contain any name.
        name = f"{database.name}.{quote(study, safe='')}.lease" if database else ""
        self._file = database.with_name(name) if database else None
        self._held: int | None = None

    def show(self, token: str) -> None:
        """Create the file for this process, which holds the lease.

        Args:
            token: Token of the lease.
        """
        content = _content(token)
        if self._file is None or content is None:
            return
        # If the file cannot be written or locked, nothing can be proved later.
        with suppress(OSError):
            remove_abandoned(self._file)
            self._held = _locked_file(self._file, content)

    def withdraw(self) -> None:
        """Remove the file."""
        if self._held is None or self._file is None:
            return
        # The file may have been replaced by another holder, or deleted.
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._held), self._file.stat()):
                self._file.unlink()
        os.close(self._held)
        self._held = None

    def has_ended(self, token: str) -> bool:
        """Check whether the holder of a lease has provably ended.

        Args:
            token: Token of the lease.

        Returns:
            Whether the end is proved; False if the holder may still exist.
        """
        content = _content(token)
        if self._file is None or content is None:
            return False
        try:
            file = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            return os.read(file, len(content) + 1) == content and try_lock(file, fcntl.LOCK_SH)
        except OSError:
            return False
        finally:
            os.close(file)


def _locked_file(place: Path, content: bytes) -> int:
    """Create a file that is locked before other processes can see it; return its descriptor."""
    partial, file = temporary_name(place), None
    try:
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        os.fchmod(file, 0o644)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(file, content)
        partial.replace(place)
    except BaseException:
        # An interrupt leaves no file behind either.
        partial.unlink(missing_ok=True)
        if file is not None:
            os.close(file)
        raise
    return file


def _content(token: str) -> bytes | None:
    try:
        return f"{token} {BOOT_ID.read_text().strip()}\n".encode()
    except OSError:
        return None


def database_file(engine: Engine) -> Path | None:
    """Return the file of an open SQLite database, for any form of its URL.

    Args:
        engine: Engine of the database.

    Returns:
        The path without symbolic links; None for a server or a database in memory.
    """
    if engine.dialect.name != "sqlite":
        return None
    with engine.connect() as connection:
        (_, _, name), *_ = connection.exec_driver_sql("PRAGMA database_list").all()
    return Path(os.path.realpath(name)) if name else None
