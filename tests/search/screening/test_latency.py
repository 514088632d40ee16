"""The latency model in a world in which the time of a network is a sum over its slots."""

import numpy as np
import pytest

from dsx.analysis import DeploymentFacts, tau
from dsx.search.screening.latency import SCATTER, FormTimes, LatencyModel
from dsx.search.screening.tables import Rows, Values
from tests.search.screening.small import drawn, small

DENSE = [0.3, 0.2, 0.2, 0.1, 0.1, 0.1]
OTHER = 0.5
"""Milliseconds of the network that no slot accounts for."""


def ratios(place: int) -> Values:
    """Return the time of each setting of a slot, relative to its dense form."""
    table = small().slots[place]
    noise = np.random.default_rng(place).uniform(0.9, 1.1, len(table.settings))
    found: Values = np.minimum((table.costs[:, 1] / table.costs[0, 1]) ** 0.7 * noise, 1.0)
    found[0] = 1.0
    return found


def latency(row: Rows) -> float:
    own = [DENSE[place] * ratios(place)[number] for place, number in enumerate(row.tolist())]
    return float(OTHER + sum(own))


def deployed(row: Rows) -> DeploymentFacts:
    names = [table.options.slots[0].name for table in small().slots]
    changed = [(place, number) for place, number in enumerate(row.tolist()) if number]
    return DeploymentFacts(
        forms={names[place]: "grouped" for place, _ in changed},
        selected_ms={names[p]: DENSE[p] * float(ratios(p)[n]) for p, n in changed},
        dense_ms={names[p]: DENSE[p] for p, _ in changed},
    )


def model(count: int, timed: int) -> tuple[LatencyModel, Rows]:
    rows = drawn(count)
    found = LatencyModel(small())
    found.add(rows[0], latency(rows[0]))
    for row in rows[1:]:
        found.note(row, deployed(row))
    for row in rows[1 : 1 + timed]:
        found.add(row, latency(row))
    return found, rows


def test_deployed_designs_are_sums_of_their_slots() -> None:
    found, rows = model(12, 4)
    assert found.predict(rows) == pytest.approx([latency(row) for row in rows], rel=1e-6)
    assert 0 < found.scatter < SCATTER


def test_other_designs_are_ranked() -> None:
    found, _ = model(15, 5)
    new = drawn(60, seed=7)
    assert tau(found.predict(new), np.array([latency(row) for row in new])) > 0.7


def test_without_selections_flops_decide() -> None:
    found, _ = model(1, 0)
    new = drawn(30, seed=3)
    order = np.argsort(found.predict(new))
    assert np.argmax(found.predict(new)) == 0
    flops = small().costs(new)[:, 1]
    assert tau(found.predict(new)[order], flops[order]) > 0.7


def test_the_sum_is_scaled_to_measured_latencies() -> None:
    found, rows = model(12, 0)
    before = found.predict(rows[1:])
    for row in rows[1:]:
        # Only half of what the forms save is saved in the network.
        found.add(row, (latency(rows[0]) + latency(row)) / 2)
    after = found.predict(rows[1:])
    assert (after > before).all()
    assert found.predict(rows[:1])[0] == pytest.approx(latency(rows[0]))


def test_a_slot_with_one_form_saves_nothing() -> None:
    found = LatencyModel(small())
    row = np.array([3, 0, 0, 0, 0, 0])
    found.add(np.zeros(6, dtype=np.intp), 1.0)
    name = small().slots[0].options.slots[0].name
    found.note(row, DeploymentFacts(forms={name: "dense"}))
    assert found.times[0] == {3: FormTimes(0.0, 0.0)}
    assert found.predict(row[None])[0] == 1.0


def test_an_unknown_form_is_not_taken_for_a_saving() -> None:
    found = LatencyModel(small())
    name = small().slots[0].options.slots[0].name
    found.note(np.array([3, 0, 0, 0, 0, 0]), DeploymentFacts(forms={name: "grouped"}))
    assert found.times[0] == {}


def test_left_out_designs_are_predicted_from_the_others() -> None:
    found, rows = model(30, timed=29)
    measured, predicted = found.leave_one_out()
    assert measured == pytest.approx([latency(row) for row in rows[1:]])
    assert tau(measured, predicted) > 0.5
    # Without its own times, a design is predicted less accurately.
    errors = np.abs(predicted - measured)
    assert errors.mean() > np.abs(found.predict(rows[1:]) - measured).mean()
    assert errors.mean() < 0.2 * measured.mean()
