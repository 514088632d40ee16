"""Lease: the right of one process to run a study.

A lease is a row of the database: a random token of its holder, and a counter that the holder
increments every 5 s. A contender reads both, waits for 15 s by its own clock, and replaces the
token by its own if the counter has not moved. No time stamps are compared and no process is looked
up: neither a clock that is set, nor a host that is renamed, nor a process id in another namespace
makes a difference.

A holder that was stopped for longer (SIGSTOP, a machine without memory) does not know that it has
lost the lease. Therefore each of its transactions that write, those of Optuna among them, reads the
token again before it commits, and fails if another one is there. PostgreSQL locks the row until
the commit (FOR SHARE), and SQLite has one writer at a time; so no transaction of a holder that lost
its lease is ever committed. A measurement is true regardless of who holds the lease, and is written
without it. Until its next write such a holder still trains or times the design that it was
evaluating when it was stopped; of its files, it may still replace those of this design.
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
from dsx.store.database.engine import tuned
from dsx.store.database.open_connections import roll_back_open
from dsx.store.database.schema import LeaseRow
from dsx.store.lease.presence import Presence

_WROTE = "dsx wrote in this transaction"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """The seconds of a lease; all processes that use a database have to agree on them.

    Args:
        increment: Between two increments of the counter.
        takeover: Without an increment before another process takes over.
        look: Between two looks of a contender, and before an increment that failed is repeated.
    """

    increment: float = 5.0
    takeover: float = 15.0
    look: float = 0.5


INTERVALS = Intervals()
RELEASE_SECONDS = 10
"""For which a process that ends waits for a database that does not answer."""


class LeaseLost(WorkFailed):
    """Another process runs the study by now."""


class Lease:
    """The lease of this process on a study.

    Args:
        engine: The database.
        study: Name of the study.
        intervals: The seconds of the lease.

    Attributes:
        engine: The database; what is written through it is written only while the lease is held.
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
        self._heart = threading.Thread(target=self._increment, name="dsx lease", daemon=True)

    def acquire(self) -> None:
        """Take the lease if it is free, or if its holder is dead.

        Raises:
            StorageError: If another process holds it; names that process.
        """
        with ExitStack() as announced:
            self._acquire(announced)
        self._presence.show(self.token)
        self._heart.start()

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
                time.sleep(self.intervals.look)
            # While the database cannot be reached, or this process is stopped, no time passes: the
            # holder may have been unable to increment its counter.
            now = time.monotonic()
            waited, last = waited + min(now - last, 2 * self.intervals.look), now

    @contextmanager
    def _announced(self, holder: LeaseRow) -> Iterator[None]:
        """Announce what this process waits for, for as long as it waits."""
        _log.warning(
            "study '%s' is held by process %s on %s; waiting for up to %g s to see whether that "
            "process is alive",
            *(self.study, holder.pid, holder.host, self.intervals.takeover),
        )
        with activity(Kind.CHECKING_LEASE, detail=f"{holder.host}:{holder.pid}"):
            yield

    def _replace(self, watched: LeaseRow | None, waited: float) -> bool:
        """Take the lease if it is free, or its holder is dead, and no other process is faster."""
        mine = {"token": self.token, "host": socket.gethostname(), "pid": os.getpid()}
        if watched is None:
            try:
                with self._plain.begin() as connection:
                    connection.execute(insert(LeaseRow).values(study=self.study, counter=0, **mine))
            except IntegrityError:
                return False
            return True
        if waited < self.intervals.takeover and not self._presence.has_ended(watched.token):
            return False
        unmoved = and_(self._held_by(watched.token), LeaseRow.counter == watched.counter)
        with self._plain.begin() as connection:
            taken = connection.execute(update(LeaseRow).where(unmoved).values(counter=0, **mine))
        return taken.rowcount == 1

    def _read(self) -> LeaseRow | None:
        with self._plain.connect() as connection:
            found = connection.execute(select(LeaseRow).where(LeaseRow.study == self.study))
            row = found.mappings().one_or_none()
        return LeaseRow(**row) if row else None

    def _held_by(self, token: str) -> ColumnElement[bool]:
        return and_(LeaseRow.study == self.study, LeaseRow.token == token)

    def release(self) -> None:
        """End the lease, so that another process need not wait for it."""
        roll_back_open(self._plain)
        self._ended.set()
        self._heart.join(RELEASE_SECONDS)
        self._presence.withdraw()

    def check(self) -> None:
        """Read in the database whether this process still holds the lease.

        Raises:
            LeaseLost: If it does not; names the process that does.
        """
        with self._plain.connect() as connection:
            self._check(connection)

    def check_seen(self) -> None:
        """Do the same, but only if the counter could not be incremented the last time.

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
                f"study '{self.study}' was taken over by {who}, because this process gave no sign "
                f"of life for {self.intervals.takeover:g} s; everything it measured is saved"
            )

    def _increment(self) -> None:
        """Increment the counter until the lease is released, on a connection of its own."""
        engine = tuned(self._plain.url)
        mine = update(LeaseRow).where(self._held_by(self.token))
        pause = self.intervals.increment
        while not self._ended.wait(pause):
            try:
                with engine.begin() as connection:
                    done = connection.execute(mine.values(counter=LeaseRow.counter + 1))
            except DBAPIError:
                # The database is locked, or cannot be reached at the moment. Whether the lease is
                # still held, the next write finds out.
                pause = min(self.intervals.look, self.intervals.increment)
                continue
            pause = self.intervals.increment
            if done.rowcount != 1:
                self._lost.set()
        # If the database cannot be reached, the row stays, with a counter that no longer moves.
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
    """Hold a study for this process.

    Args:
        engine: The database.
        study: Name of the study.
        intervals: The seconds of the lease.

    Yields:
        The lease.

    Raises:
        StorageError: If another process runs the study; names it.
    """
    lease = Lease(engine, study, intervals)
    lease.acquire()
    try:
        yield lease
    finally:
        lease.release()
