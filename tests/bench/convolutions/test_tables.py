"""Rows of the benchmark as tables."""

import dataclasses

from dsx.bench._rounds import Ratio
from dsx.bench.convolutions.device_limit import Limit
from dsx.bench.convolutions.operators import Family
from dsx.bench.convolutions.results import Result
from dsx.bench.convolutions.tables import check_row, device_rows, rows_of, tables

RESULT = Result(
    family=Family.SLIDING, operator="scc g2 o.5", layer="64@32 1x1", batch=1, threads=1,
    training=False, form="block_sparse",
    over={"grouped": Ratio(value=0.6, low=0.5, high=0.7, rounds=9)},
    groups=2, share=0.5, padding=1.03, seconds=0.00112, limit=0.001,
)  # fmt: skip
LEFT_OUT = dataclasses.replace(
    RESULT, over={}, form="left out", layer="64@224 1x1", skipped="composition: 5.0 GiB"
)


def test_goals_come_first_then_the_device_the_cases_and_what_was_left_out() -> None:
    limits = {1: Limit(flops_per_s=9.0e10, bandwidths=((2.0**20, 5e10),))}
    rows = [*rows_of([RESULT, LEFT_OUT]), *device_rows(limits)]
    assert all(row.keys() == rows[0].keys() for row in rows)
    found = tables(rows)
    goals, device, cases, left_out = found
    assert goals == "Goals: ratios of times, geometric mean and worst case"
    assert found[goals][0] == {
        "measure": "sliding / grouped, batch 1", "thr": 1,
        "goal": "mean <= 0.65, worst <= 1.03", "mean": 0.6, "worst": 0.6, "cases": 1, "met": "yes",
        "worst case": "scc g2 o.5 on 64@32 1x1, batch 1",
    }  # fmt: skip
    values = {row["what"]: row["value"] for row in found[device]}
    assert values["1 thread: multiply-adds (G/s)"] == "90.0"
    assert values["1 thread: copy of 1 MiB read and written (GB/s)"] == "50.0"
    assert cases.endswith("\n\nSliding window, forward, batch 1, 1 thread")
    (case,) = found[cases]
    assert case == {
        "operator": "scc g2 o.5", "layer": "64@32 1x1", "form": "block_sparse", "us": "    1,120",
        "share": "0.50", "pad": "1.03", "group": "0.60", "limit": "1.12",
    }  # fmt: skip
    assert found[left_out] == [
        {
            "operator": "scc g2 o.5", "layer": "64@224 1x1", "batch": 1, "passes": "forward",
            "thr": 1, "reason": "composition: 5.0 GiB",
        }
    ]  # fmt: skip


def test_the_padding_is_that_of_block_sparse_forms() -> None:
    forms = ("block_sparse", "depthwise + block_sparse", "dense", "trained")
    rows = rows_of([dataclasses.replace(RESULT, form=form) for form in forms])
    (cases,) = (found for title, found in tables(rows).items() if title.endswith("1 thread"))
    assert [case["pad"] for case in cases] == ["1.03", "1.03", "", ""]


def test_checks_are_counted() -> None:
    assert tables([check_row("cases", 3)]) == {"Correct": [{"checked": "cases", "number": 3}]}
