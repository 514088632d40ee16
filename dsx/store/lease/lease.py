"""Lease: the exclusive right of one process to run a study.

A lease is a row of the database with a random token of the holder and a counter that the holder
increments every 5 s. Another process that requests the lease reads both, waits for 15 s by its own
clock, and replaces the token by its own if the counter has not changed. No time stamps are compared
and no process ids are looked up, so that changed clocks, renamed hosts and process namespaces have
no effect.

A holder that was stopped for longer (SIGSTOP, exhausted memory) does not notice that it has lost
the lease. Therefore each transaction that writes, including those of Optuna, reads the token again
before the commit, and fails if it has changed. PostgreSQL locks the row until the commit
(FOR SHARE), and SQLite has one writer at a time, so that no transaction is committed after the
lease is lost. A measurement is valid regardless of the lease and is written without it. Until its
next write, such a holder continues to train or time the design that it was evaluating, and may
replace the weight files of this design.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from dsx.activity import Kind, activity
from dsx.errors import StorageError, WorkFailed, parameter
from dsx.store.database.engine import writable_engine
from dsx.store.database.open_connections import roll_back_open
from dsx.store.database.schema import LeaseRow
from dsx.store.lease.presence import Presence

_WROTE = "dsx wrote in this transaction"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """The intervals of a lease in seconds, which must be equal in all processes of a database.

    Args:
        increment: Time between two increments of the counter.
        takeover: Time without an increment after which another process takes over.
        poll: Time between two reads of a waiting process, and before a failed increment is retried.
    """

    increment: float = 5.0
    takeover: float = 15.0
    poll: float = 0.5


INTERVALS = Intervals()
RELEASE_SECONDS = 10
"""Time for which a process that ends waits for a database that does not answer."""


class LeaseLost(WorkFailed):
    """The lease was taken over by another process."""


class Lease:
    """The lease of this process on a study.

    Args:
        engine: Engine of the database.
        study: Name of the study.
        intervals: Intervals of the lease.

    Attributes:
        engine: Engine that commits writes only while the lease is held.
    """

    def __init__(self, engine: Engine, study: str, intervals: Intervals) -> None:
        self.study, self.intervals = study, intervals
        self.token = secrets.token_hex(16)
        self.engine = engine.execution_options()
        event.listen(self.engine, "before_cursor_execute", _note_write)
        event.listen(self.engine, "commit", self._check_before_commit)
        self._plain = engine
        self._presence = Presence(engine, study)
        self._ended, self._lost = threading.Event(), threading.Event()
        self._heartbeat = threading.Thread(target=self._increment, name="dsx lease", daemon=True)

    def acquire(self) -> None:
        """Acquire the lease if it is free or if its holder has ended.

        Raises:
            StorageError: If another process holds the lease; names that process.
        """
        with ExitStack() as announced:
            self._acquire(announced)
        self._presence.show(self.token)
        self._heartbeat.start()

    def _acquire(self, announced: ExitStack) -> None:
        watched: LeaseRow | None = None
        waited = last = 0.0
        while not self._replace(watched, waited):
            found = self._read()
            if found is None or watched is None:
                watched, waited, last = found, 0.0, time.monotonic()
                if found is not None and not self._presence.has_ended(found.token):
                    announced.close()
                    announced.enter_context(self._announced(found))
            elif (found.token, found.counter) != (watched.token, watched.counter):
                raise StorageError(
                    f"study '{self.study}' is being run by process {found.pid} on {found.host} "
                    f"(wait for it, or choose another name: {parameter('study', 'NAME')})"
                )
            if watched is not None and not self._presence.has_ended(watched.token):
                time.sleep(self.intervals.poll)
            # Time during which the database is unreachable or this process is stopped does not
            # count, since the holder may have been unable to increment its counter.
            now = time.monotonic()
            waited, last = waited + min(now - last, 2 * self.intervals.poll), now

    @contextmanager
    def _announced(self, holder: LeaseRow) -> Iterator[None]:
        """Report what this process waits for, until the end of the block."""
        _log.warning(
            "study '%s' is held by process %s on %s; waiting for up to %g s to see whether that "
            "process is alive",
            *(self.study, holder.pid, holder.host, self.intervals.takeover),
        )
        with activity(Kind.CHECKING_LEASE, detail=f"{holder.host}:{holder.pid}"):
            yield

    def _replace(self, watched: LeaseRow | None, waited: float) -> bool:
        """Try to acquire a lease that is free or whose holder has ended."""
        own = {"token": self.token, "host": socket.gethostname(), "pid": os.getpid()}
        if watched is None:
            try:
                with self._plain.begin() as connection:
                    connection.execute(insert(LeaseRow).values(study=self.study, counter=0, **own))
            except IntegrityError:
                return False
            return True
        if waited < self.intervals.takeover and not self._presence.has_ended(watched.token):
            return False
        unchanged = and_(self._held_by(watched.token), LeaseRow.counter == watched.counter)
        with self._plain.begin() as connection:
            done = connection.execute(update(LeaseRow).where(unchanged).values(counter=0, **own))
        return done.rowcount == 1

    def _read(self) -> LeaseRow | None:
        with self._plain.connect() as connection:
            found = connection.execute(select(LeaseRow).where(LeaseRow.study == self.study))
            row = found.mappings().one_or_none()
        return LeaseRow(**row) if row else None

    def _held_by(self, token: str) -> ColumnElement[bool]:
        return and_(LeaseRow.study == self.study, LeaseRow.token == token)

    def release(self) -> None:
        """Release the lease, so that another process can acquire it without waiting."""
        roll_back_open(self._plain)
        self._ended.set()
        self._heartbeat.join(RELEASE_SECONDS)
        self._presence.withdraw()

    def check(self) -> None:
        """Check in the database that this process still holds the lease.

        Raises:
            LeaseLost: If another process holds the lease; names that process.
        """
        with self._plain.connect() as connection:
            self._check(connection)

    def check_seen(self) -> None:
        """Check the lease like `check`, but only if the last increment found another holder.

        Raises:
            LeaseLost: If the lease is lost.
        """
        if self._lost.is_set():
            self.check()

    def _check_before_commit(self, connection: Connection) -> None:
        if connection.info.pop(_WROTE, False):
            self._check(connection)

    def _check(self, connection: Connection) -> None:
        holder = connection.execute(
            select(LeaseRow.token, LeaseRow.host, LeaseRow.pid)
            .where(LeaseRow.study == self.study)
            .with_for_update(read=True)
        ).one_or_none()
        if holder is None or holder.token != self.token:
            who = f"process {holder.pid} on {holder.host}" if holder else "another process"
            raise LeaseLost(
                f"study '{self.study}' was taken over by {who}, because this process did not "
                f"respond for {self.intervals.takeover:g} s; all its measurements are saved"
            )

    def _increment(self) -> None:
        """Increment the counter on a separate connection until the lease is released."""
        engine = writable_engine(self._plain.url)
        own = update(LeaseRow).where(self._held_by(self.token))
        pause = self.intervals.increment
        while not self._ended.wait(pause):
            try:
                with engine.begin() as connection:
                    done = connection.execute(own.values(counter=LeaseRow.counter + 1))
            except DBAPIError:
                # The database is locked or temporarily unreachable. The next write checks whether
                # the lease is still held.
                pause = min(self.intervals.poll, self.intervals.increment)
                continue
            pause = self.intervals.increment
            if done.rowcount != 1:
                self._lost.set()
        # If the database cannot be reached, the row remains, with a counter that stops changing.
        with suppress(DBAPIError), engine.begin() as connection:
            connection.execute(delete(LeaseRow).where(self._held_by(self.token)))
        engine.dispose()


def _note_write(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    if context.isinsert or context.isupdate or context.isdelete:
        connection.info[_WROTE] = True


@contextmanager
def claim(engine: Engine, study: str, intervals: Intervals = INTERVALS) -> Iterator[Lease]:
    """Hold the lease of a study.

    Args:
        engine: Engine of the database.
        study: Name of the study.
        intervals: Intervals of the lease.

    Yields:
        The lease.

    Raises:
        StorageError: If another process runs the study; names that process.
    """
    lease = Lease(engine, study, intervals)
    lease.acquire()
    try:
        yield lease
    finally:
        lease.release()
