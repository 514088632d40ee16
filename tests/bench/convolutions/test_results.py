"""Results as JSON and as rows."""

import dataclasses
import json

from dsx.bench._rounds import Ratio
from dsx.bench.convolutions.operators import Family
from dsx.bench.convolutions.results import Result, row

RESULT = Result(
    family=Family.SLIDING,
    operator="scc g2 o.5",
    layer="64@32 1x1",
    batch=32,
    threads=1,
    training=False,
    form="block_sparse",
    over={
        "dense": Ratio(value=0.25, low=0.2, high=0.3, rounds=9),
        "grouped channels last": Ratio(value=0.5, low=0.5, high=0.5, rounds=9),
    },
    groups=2,
    share=0.5,
    padding=1.0312,
    seconds=0.0015,
    limit=0.001,
)


def test_a_result_is_the_same_after_a_round_trip_through_json() -> None:
    assert Result.from_json(json.loads(json.dumps(RESULT.to_json()))) == RESULT


def test_a_row_has_the_values_of_the_result() -> None:
    found = RESULT.row()
    assert found.keys() == row("goal").keys()
    expected = {
        "row": "case", "family": "sliding window", "passes": "forward", "us": 1500.0,
        "over_dense": 0.25, "over_dense_low": 0.2, "over_dense_high": 0.3, "rounds": 9,
        "over_grouped": "", "over_grouped_channels_last": 0.5, "over_limit": 1.5,
        "skipped": "", "padding": 1.0312,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_an_unknown_interval_and_an_unknown_padding_are_empty() -> None:
    ratio = Ratio(value=0.25, low=None, high=None, rounds=3)
    result = dataclasses.replace(RESULT, over={"dense": ratio}, padding=0.0)
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
    row = result.row()
    assert (row["over_dense"], row["over_dense_low"], row["over_dense_high"]) == (0.25, "", "")
    assert row["padding"] == ""


def test_a_left_out_case_has_its_reason_in_its_row() -> None:
    reason = "composition: working set of 5.0 GiB"
    result = dataclasses.replace(RESULT, over={}, seconds=0.0, limit=0.0, skipped=reason)
    row = result.row()
    assert (row["skipped"], row["us"], row["over_dense"], row["over_limit"]) == (reason, "", "", "")
