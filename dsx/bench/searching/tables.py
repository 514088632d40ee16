"""The rows of the benchmark of searches, and the tables in which they are shown."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from dsx.bench._base import Row
from dsx.bench._figures import Goal
from dsx.bench.searching.contests import BARE, LEAST
from dsx.bench.searching.merit import Judge, Merit, compare
from dsx.bench.searching.record import Record

VOLUMES = {"hypervolume": False, "tight": True}
"""Hypervolumes by name: whether designs that lose much accuracy are left out."""
TITLE = "Time of bare TPE until its hypervolume, over the time until it is passed"


def run_rows(contest: str, goal: Goal, records: Sequence[Record], judge: Judge) -> Iterator[Row]:
    """Describe the searches of one seed.

    Args:
        contest: Name of the contest.
        goal: Goal of the median ratio.
        records: The searches, among them that of bare Optuna.
        judge: Values of all designs.

    Yields:
        A row for each search.
    """
    (bare,) = [record for record in records if record.contender == BARE]
    for record in records:
        row: dict[str, object] = {
            "space": contest,
            "contender": record.contender,
            "seed": record.seed,
            "designs": len(record.found),
            "repeated": record.repeated,
            "cpu_s": round(record.cpu, 1),
            "wall_s": round(record.wall, 1),
        }
        for stage in ("sampling", "timed", "trained"):
            row[f"{stage}_cpu_s"] = round(record.stages.get(stage, 0.0), 1)
        for name, tight in VOLUMES.items():
            row |= _merit_columns(name, compare(record, bare, judge, tight))
        yield row | {"goal": str(goal)}


def _merit_columns(name: str, merit: Merit) -> dict[str, object]:
    found = {
        "passed_after_designs": merit.designs,
        "cpu_ratio": merit.cpu,
        "wall_ratio": merit.wall,
        "whole_cpu_ratio": merit.whole,
    }
    columns: dict[str, object] = {name: round(merit.volume, 4)}
    for column, value in found.items():
        # Empty if the search never passes bare Optuna.
        columns[f"{name}_{column}"] = "" if value is None else round(value, 2)
    return columns


def tables(rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
    """Summarise the searches over the seeds.

    Args:
        rows: A row for each search.

    Returns:
        The summary, and the searches, by title.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((str(row["space"]), str(row["contender"])), []).append(row)
    summary = [
        _summary(space, contender, name, own)
        for (space, contender), own in groups.items()
        for name in VOLUMES
        if contender != BARE
    ]
    shown = ("space", "contender", "seed", "designs", "repeated", "cpu_s", "hypervolume", "tight")
    return {
        TITLE: summary,
        "Searches": [{column: row[column] for column in shown} for row in rows],
    }


def _summary(space: str, contender: str, name: str, rows: Sequence[Row]) -> Row:
    ratios = [float(str(row[f"{name}_cpu_ratio"] or 0)) for row in rows]
    walls = [float(str(row[f"{name}_wall_ratio"] or 0)) for row in rows]
    low, middle, high = _quartiles(ratios)
    goal = Goal(sign=">=", bound=float(str(rows[0]["goal"]).split()[-1]))
    is_met = goal.is_met(middle) and LEAST.is_met(min(ratios))
    return {
        "space": space,
        "contender": contender,
        "volume": name,
        "seeds": len(rows),
        "CPU": round(middle, 2),
        "quartiles": f"{low:.1f} to {high:.1f}",
        "wall": round(statistics.median(walls), 2),
        "worst": round(min(ratios), 2),
        "never": sum(not ratio for ratio in ratios),
        "goal": str(goal) if contender == "dsx screening" else "",
        "met": ("yes" if is_met else "no") if contender == "dsx screening" else "",
    }


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high
