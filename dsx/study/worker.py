"""Worker: the one process that runs a study, known to all others."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from sqlalchemy import CursorResult, Engine, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dsx.errors import StorageError
from dsx.study.tables import WorkerRow


@contextmanager
def claim(engine: Engine, study: str) -> Iterator[None]:
    """Hold a study for this process; a process that was killed holds it no longer.

    Args:
        engine: The database.
        study: Name of the study.

    Raises:
        StorageError: If another process runs the study; names it.
    """
    me = WorkerRow(
        study=study,
        host=socket.gethostname(),
        pid=os.getpid(),
        started=psutil.Process().create_time(),
    )
    facts: dict[str, str | int | float] = {"host": me.host, "pid": me.pid, "started": me.started}
    try:
        with Session(engine) as session, session.begin():
            session.add(me)
    except IntegrityError:
        _take_over(engine, study, facts)
    try:
        yield
    finally:
        mine = (WorkerRow.study == study, WorkerRow.pid == facts["pid"])
        with Session(engine) as session, session.begin():
            session.execute(delete(WorkerRow).where(*mine))


def _take_over(engine: Engine, study: str, facts: dict[str, str | int | float]) -> None:
    with Session(engine) as session, session.begin():
        holder = session.scalar(select(WorkerRow).where(WorkerRow.study == study))
        if holder is not None and alive(holder.host, holder.pid, holder.started):
            raise StorageError(
                f"study '{study}' is being run by process {holder.pid} on {holder.host} "
                "(wait for it, or begin another with --study NAME)"
            )
        if holder is None:
            session.add(WorkerRow(study=study, **facts))
            return
        # Only if nobody was faster.
        result = session.execute(
            update(WorkerRow)
            .where(WorkerRow.study == study, WorkerRow.pid == holder.pid)
            .where(WorkerRow.started == holder.started)
            .values(**facts)
        )
        assert isinstance(result, CursorResult)
        if result.rowcount != 1:
            raise StorageError(f"study '{study}' was taken over by another process just now")


def alive(host: str, pid: int, started: float) -> bool:
    """Say whether a process still runs.

    Args:
        host: Where it was started; another machine's processes count as alive.
        pid: Its number.
        started: When it was started, so that a process that got the number later is not meant.

    Returns:
        Whether it runs.
    """
    if host != socket.gethostname():
        return True
    try:
        process = psutil.Process(pid)
        return bool(
            abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False
