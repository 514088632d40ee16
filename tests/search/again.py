"""Studies whose stored measurements are changed so that designs are contested or flagged."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from dsx.analysis.measurement import Measurement
from dsx.measure.machine import load as busy
from dsx.measure.timing import interleaved as rounds
from dsx.search.loop import FinalTiming, search
from dsx.search.run import timings
from dsx.store.database.engine import open_database
from dsx.store.database.schema import MeasurementRow
from tests.search.forms import let_forms_be
from tests.search.looking import rows


def searched(space: Path, folder: Path, trials: int = 3) -> str:
    """Run a search without final timings; return the URL of the database."""
    storage = f"sqlite:///{folder}/studies/dsx.db"
    with pytest.MonkeyPatch.context() as patch:
        let_forms_be(own=True, patch=patch)
        once = FinalTiming(designs=0)
        search(space, trials=trials, storage=storage, final_timing=once)
    return storage


def change(storage: str, what: Callable[[MeasurementRow], None]) -> None:
    """Change all measurements of a database."""
    with Session(open_database(storage, create=True)) as session, session.begin():
        for row in session.scalars(select(MeasurementRow)):
            what(row)


def leave_open(row: MeasurementRow) -> None:
    """Widen the interval of a measurement so that designs are contested, without flags."""
    if row.metric in ("accuracy", "latency_ms"):
        row.low, row.high = 0.25 * row.value, 1.75 * row.value
        row.provenance = replace(row.provenance, converged=True, noisy=False)


def mark(*designs: str, noisy: bool = True) -> Callable[[MeasurementRow], None]:
    """Return a function that flags the latencies of designs as noisy or as unconverged."""

    def change_one(row: MeasurementRow) -> None:
        rough = row.design in designs
        if row.metric == "latency_ms":
            row.provenance = replace(
                row.provenance, noisy=noisy and rough, converged=noisy or not rough
            )

    return change_one


def copy_to(storage: str, folder: Path) -> str:
    """Copy a database; return the URL of the copy."""
    (folder / "studies").mkdir()
    file = folder / "studies" / "dsx.db"
    with (
        closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as old,
        closing(sqlite3.connect(file)) as new,
    ):
        old.backup(new)
    return f"sqlite:///{file}"


def readings(storage: str, metric: str = "latency_ms") -> dict[str, int]:
    """Count the readings of each design."""
    found: dict[str, int] = {}
    for row in rows(storage, MeasurementRow):
        if row.metric == metric:
            found[row.design] = found.get(row.design, 0) + 1
    return found


def let_machine_be(is_busy: bool, patch: pytest.MonkeyPatch) -> None:
    """Patch the load of the machine, and let every reading converge."""
    since, estimated = busy.load_since, rounds._Rounds._estimate
    for module, name in ((busy, "load_since"), (timings, "load_since")):
        patch.setattr(module, name, lambda *looks: since(*looks)._replace(noisy=is_busy))
    patch.setattr(rounds._Rounds, "_estimate", lambda *given: (estimated(*given)[0], True))
    patch.setattr(Measurement, "relative_width", 0.0)
