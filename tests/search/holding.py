"""Processes that hold a lease, which tests stop, continue and kill."""

import ctypes
import os
import secrets
import signal
import socket
import time
from multiprocessing.connection import Connection

from sqlalchemy import select
from sqlalchemy.orm import Session

from dsx.errors import DsxError
from dsx.store.database.engine import open_database
from dsx.store.database.schema import DesignRow, LeaseRow
from dsx.store.lease.lease import Intervals, Lease, claim

QUICK = Intervals(increment=0.05, takeover=0.6, poll=0.05)
"""Times that a test can wait for."""
PATIENT = Intervals(increment=0.05, takeover=300, poll=0.05)
"""A contender that has to wait for these fails the test."""
STUCK = Intervals(increment=3600, takeover=0.6, poll=0.05)
"""The thread that increments the counter does not come to its turn."""
_NEW_UTS, _NEW_PID, _DEATH_SIGNAL = 0x04000000, 0x20000000, 1


def hold(line: Connection, storage: str, intervals: Intervals, shift: float = 0.0) -> None:
    """Hold the lease on study `s`: send `held`, and answer requests until the request `release`.

    The answer to `write` (a row under the lease) and to `check` is the error, if there is one.

    Args:
        line: Connection to the process that started this one.
        storage: The database.
        intervals: Seconds of the lease.
        shift: Seconds by which the clock of this process is wrong.
    """
    now = time.time
    time.time = lambda: now() + shift
    try:
        with claim(open_database(storage, create=True), "s", intervals) as lease:
            line.send("held")
            while (request := line.recv()) != "release":
                line.send(attempt(lease, request))
    except DsxError as error:
        line.send(str(error))
        return
    line.send("released")


def attempt(lease: Lease, request: str = "write") -> str:
    """Perform an action that requires the lease; return the error, if there is one."""
    try:
        if request == "check":
            lease.check()
        else:
            write(lease)
    except DsxError as error:
        return str(error)
    return ""


def write(lease: Lease) -> None:
    """Write a row under a lease, with the id of this process."""
    row = DesignRow(
        id=secrets.token_hex(8), model=f"{os.getpid()}", model_args={}, spec={}, description=""
    )
    with Session(lease.engine) as session, session.begin():
        session.add(row)


def hold_apart(line: Connection, storage: str, intervals: Intervals) -> None:
    """Hold the lease in a new namespace of process ids, on a host with another name."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_UTS | _NEW_PID):
        line.send(f"no namespaces: {os.strerror(ctypes.get_errno())}")
        return
    socket.sethostname("box")
    if os.fork() == 0:
        libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)
        assert os.getpid() == 1
        hold(line, storage, intervals)
        os._exit(0)
    line.close()
    os.wait()


def holder_of(storage: str) -> LeaseRow | None:
    """Read the row of study `s`."""
    with Session(open_database(storage, create=False)) as session:
        return session.scalar(select(LeaseRow).where(LeaseRow.study == "s"))
