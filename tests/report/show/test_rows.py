"""One design as plain rows."""

import pytest

from dsx.analysis.estimate import Estimate
from dsx.report.show.rows import (
    ShownDesign,
    headline,
    measurement_rows,
    metric_rows,
    roles,
    separated,
    slot_rows,
)


def test_the_headline_describes_the_design(knee: ShownDesign) -> None:
    row = headline(knee)
    front = knee.results.front
    assert (row["id"], row["trial"]) == (front.knee.id, front.knee.trial)
    assert (row["roles"], row["on_front"], row["membership"]) == (["knee"], True, "possible")
    assert row["redesigned"] == 5


def test_roles_name_the_objectives_in_which_the_design_is_best(
    knee: ShownDesign, baseline: ShownDesign
) -> None:
    front = knee.results.front
    best = front.best("bits")
    assert "best bits" in roles(ShownDesign(results=knee.results, entry=best, slots=None))
    assert roles(baseline) == ["baseline"]


def test_metrics_are_compared_with_the_baseline(knee: ShownDesign) -> None:
    rows = {row["metric"]: row for row in metric_rows(knee)}
    assert list(rows)[:3] == ["accuracy", "latency_ms", "bits"]
    latency = rows["latency_ms"]
    assert (latency["unit"], latency["readings"], latency["converged"]) == ("ms", 2, False)
    own, other = latency["value"], latency["baseline_value"]
    assert isinstance(own, float) and isinstance(other, float)
    assert latency["ratio"] == pytest.approx(own / other)
    assert latency["difference"] == pytest.approx(own - other)
    assert latency["separated"] is True
    assert rows["accuracy"]["separated"] is False


def test_the_baseline_is_not_compared_with_itself(baseline: ShownDesign) -> None:
    for row in metric_rows(baseline):
        assert (row["baseline_value"], row["ratio"], row["separated"]) == (None, None, None)


@pytest.mark.parametrize(("low", "expected"), [(1.0, False), (1.2, False), (1.3, True)])
def test_intervals_that_touch_are_not_separated(low: float, expected: bool) -> None:
    one = Estimate(value=1.1, low=1.0, high=1.2)
    other = Estimate(value=low, low=low, high=2.0)
    assert separated(one, other) == separated(other, one) == expected


def test_every_measurement_has_its_provenance(knee: ShownDesign) -> None:
    rows = measurement_rows(knee)
    assert [row["metric"] for row in rows].count("latency_ms") == 2
    timed = next(row for row in rows if row["metric"] == "latency_ms")
    assert timed["subject"] == knee.entry.deployed != knee.entry.id
    assert timed["device"] == knee.entry.device
    provenance = timed["provenance"]
    assert isinstance(provenance, dict)
    assert provenance["timing"]["clock"] == "thread"
    assert all(row["counted"] for row in rows)


def test_shares_of_the_slots_sum_to_at_most_one(knee: ShownDesign) -> None:
    assert knee.slots is not None
    rows = slot_rows(knee.slots)
    assert [row["slot"] for row in rows] == list(knee.entry.spec)
    assert (rows[0]["in_channels"], rows[0]["out_channels"]) == (1, 32)
    assert (rows[3]["kernel"], rows[3]["stride"]) == ("3x3", "2x2")
    for name, whole in (("params", knee.slots.total.params), ("flops", knee.slots.total.flops)):
        parts = [row[name] for row in rows]
        shares = [row[f"{name}_share"] for row in rows]
        assert sum(shares) == pytest.approx(sum(parts) / whole)  # type: ignore[arg-type]
        assert 0.9 < sum(shares) < 1  # type: ignore[arg-type]
