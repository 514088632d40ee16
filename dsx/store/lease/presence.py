"""Presence: a file next to a SQLite database that proves that the holder of a lease has ended.

It only shortens the wait for a lease whose holder was killed; whether a lease is taken over is
decided in the database alone. The holder keeps the file locked, and the operating system releases
the lock of a process that ends in any way. The file contains the token of the lease and the boot
id of the machine. If both are the expected ones and the file is not locked, then a process of this
very kernel had locked this very file for this lease, and has ended: neither names of hosts, nor
process ids and their namespaces, nor clocks matter. Everywhere else nothing is proved: for a copied
or moved database (other contents), a deleted file, another machine, a system without boot ids, a
holder that was stopped but lives, or one whose forked children live on.
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
    """The file of a study.

    Args:
        engine: The database; for a server there is no file, and nothing is ever proved.
        study: Name of the study.
    """

    def __init__(self, engine: Engine, study: str) -> None:
        database = database_file(engine)
        # Quoted, since a database from elsewhere may contain any name.
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
        # Where the file cannot be written or locked, nothing is proved later on.
        with suppress(OSError):
            remove_abandoned(self._file)
            self._held = _locked_file(self._file, content)

    def withdraw(self) -> None:
        """Remove the file."""
        if self._held is None or self._file is None:
            return
        # It may be the file of a successor by now, or none.
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._held), self._file.stat()):
                self._file.unlink()
        os.close(self._held)
        self._held = None

    def has_ended(self, token: str) -> bool:
        """Check whether the holder of a lease is proved to have ended.

        Args:
            token: Token of the lease.

        Returns:
            True only if it certainly has.
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
    """Create a file that no other process ever sees unlocked; return it open."""
    partial = temporary_name(place)
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(file, 0o644)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(file, content)
        partial.replace(place)
    except OSError:
        os.close(file)
        partial.unlink(missing_ok=True)
        raise
    return file


def _content(token: str) -> bytes | None:
    try:
        return f"{token} {BOOT_ID.read_text().strip()}\n".encode()
    except OSError:
        return None


def database_file(engine: Engine) -> Path | None:
    """Find the file of a SQLite database, however its URL is written.

    Args:
        engine: The database.

    Returns:
        Its path without symbolic links; None for a server, or a database in memory.
    """
    if engine.dialect.name != "sqlite":
        return None
    with engine.connect() as connection:
        (_, _, name), *_ = connection.exec_driver_sql("PRAGMA database_list").all()
    return Path(os.path.realpath(name)) if name else None
