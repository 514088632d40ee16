"""The rows of the benchmark, and the tables in which they are shown."""

from collections.abc import Iterator, Mapping, Sequence

import torch

from dsx.bench._base import Row
from dsx.bench.convolutions.cases import counted_threads
from dsx.bench.convolutions.device_limit import Limit
from dsx.bench.convolutions.goals import Outcome, summarise
from dsx.bench.convolutions.results import BLOCK_SPARSE, Result, row
from dsx.conv.native import kernels
from dsx.errors import Unsupported
from dsx.measure import this_device

_CONTENDERS = {
    "dense": "over_dense",
    "dense*": "over_dense_channels_last",
    "group": "over_grouped",
    "group*": "over_grouped_channels_last",
    "comp": "over_composition",
    "limit": "over_limit",
}
"""Column of each contender in a table, and in the rows."""

GOALS = "Goals: ratios of times, geometric mean and worst case"
LEGEND = """\
us: microseconds of a pass of dsx; share: its multiply-adds over those of the dense convolution;
pad: packed weights over live weights of a block-sparse form.
Each ratio is the time of dsx over that of the dense or grouped convolution (*: channels_last), the
composition from operators of torch, and the limit of the device."""


def rows_of(results: Sequence[Result]) -> list[Row]:
    """Return the goals and the results as rows of the benchmark.

    Args:
        results: Results of all cases.

    Returns:
        A row for each goal and each case.
    """
    return [_goal_row(outcome) for outcome in summarise(results)] + [
        result.row() for result in results
    ]


def _goal_row(outcome: Outcome) -> Row:
    return row(
        "goal",
        measure=outcome.measure.name,
        threads=outcome.threads,
        goal=outcome.goal,
        mean=round(outcome.mean, 4),
        worst=round(outcome.worst, 4),
        worst_case=outcome.worst_case,
        cases=outcome.cases,
        met="yes" if outcome.is_met else "no",
    )


def device_rows(limits: Mapping[int, Limit]) -> list[Row]:
    """Return the device, its kernels and its limits as rows of the benchmark.

    Args:
        limits: Limits of the device by number of threads.

    Returns:
        The rows.
    """
    device, found = this_device(), kernels()
    in_use = f"none: {found.reason}" if isinstance(found, Unsupported) else found.instruction_set
    facts: dict[str, object] = {
        "device": f"{device.processor} ({device.cores} cores)",
        "torch": torch.__version__,
        "kernels": in_use,
    }
    for threads, limit in limits.items():
        prefix = f"{counted_threads(threads)}: "
        facts[f"{prefix}multiply-adds (G/s)"] = round(limit.flops_per_s / 1e9, 1)
        for size, rate in limit.bandwidths:
            name = f"{prefix}copy of {size / 2**20:g} MiB read and written (GB/s)"
            facts[name] = round(rate / 1e9, 1)
    return [row("device", measure=name, mean=value) for name, value in facts.items()]


def check_row(name: str, count: int) -> Row:
    """Return a number of checks as a row of the benchmark.

    Args:
        name: Name of the checked objects.
        count: Number of checks.

    Returns:
        The row.
    """
    return row("check", measure=name, cases=count, met="yes")


def tables(rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
    """Arrange the rows of the benchmark in tables.

    Args:
        rows: Rows of the benchmark.

    Returns:
        The rows of each table by its title.
    """
    return dict(_tables(rows))


def _tables(rows: Sequence[Row]) -> Iterator[tuple[str, Sequence[Row]]]:
    goals = [row for row in rows if row["row"] == "goal"]
    if goals:
        yield GOALS, [_goal(row) for row in goals]
    device = [row for row in rows if row["row"] == "device"]
    if device:
        yield "Device", [{"what": row["measure"], "value": str(row["mean"])} for row in device]
    checks = [row for row in rows if row["row"] == "check"]
    if checks:
        yield "Correct", [{"checked": row["measure"], "number": row["cases"]} for row in checks]
    cases = [row for row in rows if row["row"] == "case" and not row["skipped"]]
    groups: dict[str, list[Row]] = {}
    for case in cases:
        groups.setdefault(_group(case), []).append(case)
    for number, (title, own) in enumerate(groups.items()):
        yield (
            title if number else f"{LEGEND}\n\n{title}",
            _without_empty([_case(row) for row in own]),
        )
    skipped = [row for row in rows if row["skipped"]]
    if skipped:
        yield "Left out", [_skipped(row) for row in skipped]


def _goal(row: Row) -> Row:
    return {
        "measure": row["measure"],
        "thr": row["threads"],
        "goal": row["goal"],
        "mean": row["mean"],
        "worst": row["worst"],
        "cases": row["cases"],
        "met": row["met"],
        "worst case": row["worst_case"],
    }


def _group(row: Row) -> str:
    threads = counted_threads(int(str(row["threads"])))
    return f"{row['family']}, {row['passes']}, batch {row['batch']}, {threads}".capitalize()


def _case(row: Row) -> Row:
    return {
        "operator": row["operator"],
        "layer": row["layer"],
        "form": row["form"],
        "us": f"{row['us']:>9,.0f}" if row["us"] else "",
        "share": _ratio(row["share"]),
        "pad": _ratio(row["padding"]) if str(row["form"]).endswith(BLOCK_SPARSE) else "",
        **{name: _ratio(row[column]) for name, column in _CONTENDERS.items()},
    }


def _ratio(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else ""


def _without_empty(rows: Sequence[Row]) -> list[Row]:
    """Remove the columns that are empty in all rows."""
    used = [name for name in rows[0] if any(row[name] for row in rows)]
    return [{name: row[name] for name in used} for row in rows]


def _skipped(row: Row) -> Row:
    return {
        "operator": row["operator"],
        "layer": row["layer"],
        "batch": row["batch"],
        "passes": row["passes"],
        "thr": row["threads"],
        "reason": row["skipped"],
    }
