"""Designs with the same deployed network share its readings."""

import dataclasses
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from dsx import front, search
from dsx.activity import ignore_status
from dsx.analysis.measurement import DeploymentFacts
from dsx.conv import ConvSpec
from dsx.measure import Candidate, Measurement, this_device
from dsx.search.design.measure_design import DesignMeasurement
from dsx.search.design.selection import design_of
from dsx.search.lookup import Lookup
from dsx.search.plan import make_plan
from dsx.search.refining.choice import Limits
from dsx.search.refining.refine import refine_study
from dsx.search.refining.remeasure import remeasure
from dsx.space import load_space
from dsx.store.database.engine import open_database
from dsx.store.database.schema import DeploymentRow, FormRow, MeasurementRow
from dsx.store.measurements.measurements import Deployment, MeasurementStore, open_measurements
from tests.search.again import change, leave_open, let_machine_be
from tests.search.forms import let_forms_be
from tests.search.looking import Following, measured, rows
from tests.search.opening import reopened
from tests.search.spaces import LEARNED, QUICK, varied

LATENCY = "latency_ms"


@pytest.fixture(autouse=True)
def dense(own_forms: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every redesigned slot falls back to its dense form; the machine is idle."""
    let_forms_be(own=False, patch=monkeypatch)
    let_machine_be(False, monkeypatch)


def latencies(storage: str) -> list[MeasurementRow]:
    return [row for row in rows(storage, MeasurementRow) if row.metric == LATENCY]


def test_designs_that_fall_back_to_dense_are_timed_once(storage: str) -> None:
    follow = Following(lambda progress: progress.complete == 3)
    with pytest.raises(KeyboardInterrupt):
        search(QUICK, trials=3, storage=storage, report=follow)
    (row,) = latencies(storage)
    found = front("quick", storage=storage)
    values = [entry.metrics[LATENCY] for entry in found.entries]
    assert [(v.value, v.low, v.high) for v in values] == [(row.value, row.low, row.high)] * 3
    assert {entry.deployed for entry in found.entries} == {row.subject}
    assert [(e.fallbacks, e.redesigned) for e in found.entries] == [(0, 0), (2, 2), (2, 2)]
    # All networks compute the same as the baseline, despite their different designs.
    flops = {entry.deployed_counts["flops"] for entry in found.entries}
    assert flops == {found.entries[0].metrics["flops"].value}
    assert all(e.metrics["flops"].value < min(flops) for e in found.entries[1:])
    assert all(e.deployed_counts["params"] > e.metrics["params"].value for e in found.entries[1:])
    assert found.conditions["deployed networks"].startswith("3 designs run as 1 different network")
    # A latency that two designs share does not order them.
    best = max(entry.metrics["accuracy"].value for entry in found.entries)
    on_front = {entry.id for entry in found.entries if entry.metrics["accuracy"].value == best}
    assert found.front_ids == on_front


def test_another_study_of_the_database_finds_the_deployment(storage: str) -> None:
    search(QUICK, trials=2, storage=storage)
    before = measured(storage)
    search(QUICK, trials=3, study="again", seed=1, storage=storage)
    timed = {key for key in measured(storage) if key[1] == LATENCY}
    assert timed == {key for key in before if key[1] == LATENCY}


def test_one_design_and_the_baseline_share_what_is_measured(storage: str) -> None:
    space = load_space(QUICK)
    names = [slot.name for slot in space.analysis.slots]
    design = space.design({names[-1]: ConvSpec(kernel_shape="cross")})
    found = DesignMeasurement(space, design, open_measurements(storage)).measure(
        [LATENCY, "peak_memory_mb"]
    )
    assert len(rows(storage, MeasurementRow)) == 2
    assert found.design[LATENCY] == found.baseline[LATENCY]
    fresh = DesignMeasurement(space, design, open_measurements(storage), fresh=True).measure(
        [LATENCY]
    )
    assert len(latencies(storage)) == 2
    assert not fresh.design[LATENCY].stored and not fresh.baseline[LATENCY].stored
    other = space.design({names[-1]: ConvSpec(kernel_shape="point")})
    third = DesignMeasurement(space, other, open_measurements(storage)).measure([LATENCY])
    assert len(latencies(storage)) == 2
    assert third.design[LATENCY].stored
    made = [row.provenance for row in latencies(storage)]
    calm = [one for one in made if one.converged and not one.noisy]
    assert third.design[LATENCY].estimate.readings == (len(calm) or 2)


def test_learned_shapes_in_dense_form_are_the_network_of_the_baseline(
    storage: str, tmp_path: Path
) -> None:
    kinds = "kernel_shape: [full, learned], density: [0.25, 0.5], rigid: [false, true]"
    space = varied(LEARNED, tmp_path, kinds, "kernel_shape: [learned], density: [0.25]")
    timed = 'measure: {budget_seconds: 0.05, target_width: 0.9}\nconstraints: {latency_ms: ">= 0"}'
    space.write_text(f"{space.read_text()}{timed}\n")
    found = search(space, trials=2, storage=storage)
    assert len(found.entries) == 2
    # The final timing may add another reading, which both share.
    assert len({row.subject for row in latencies(storage)}) == 1
    baseline, learned = (entry.metrics[LATENCY] for entry in found.entries)
    assert baseline == learned and baseline.rests_on == learned.rests_on


def test_readings_of_an_earlier_deployment_do_not_count(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = search(QUICK, trials=2, storage=storage)
    plan, study = reopened(storage, "quick")
    with Session(study.engine) as session, session.begin():
        session.execute(delete(FormRow))
    let_forms_be(own=True, patch=monkeypatch)
    designs = [design_of(plan.space, entry) for entry in before.entries]
    timed = remeasure(designs, [LATENCY], plan, study, ignore_status)
    assert timed == [design.id for design in designs]
    baseline, other = front("quick", storage=storage).entries
    newest = latencies(storage)[-1]
    assert baseline.deployed == before.entries[0].deployed
    assert other.deployed == newest.subject != baseline.deployed
    assert (other.metrics[LATENCY].value, other.metrics[LATENCY].readings) == (newest.value, 1)
    assert baseline.metrics[LATENCY].rests_on.isdisjoint(other.metrics[LATENCY].rests_on)
    assert other.fallbacks == 0


def test_each_network_is_timed_once_in_a_refinement(storage: str) -> None:
    search(QUICK, trials=3, storage=storage)
    change(storage, leave_open)
    before = len(latencies(storage))
    found = refine_study("quick", 60.0, storage=storage, limits=Limits(seeds=1))
    # All three designs have the same deployed network, so timing cannot separate them.
    assert (found.timed, len(latencies(storage))) == (0, before)
    assert [entry.metrics[LATENCY] for entry in found.front.entries[1:]] == [
        found.front.entries[0].metrics[LATENCY]
    ] * 2


def test_a_deployment_is_stored_with_its_reading_or_not_at_all(storage: str) -> None:
    measurements = MeasurementStore(open_database(storage, create=True), this_device())
    plan = make_plan(load_space(QUICK), measurements)
    protocol = plan.protocols[LATENCY]
    reading = Measurement(value=1.0, low=0.9, high=1.1, samples=(1.0,))
    deployment = Deployment(subject="0" * 32, protocol=protocol, facts=DeploymentFacts())
    with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):
        measurements.add("unknown", LATENCY, protocol, reading, deployment)
    assert (rows(storage, DeploymentRow), rows(storage, MeasurementRow)) == ([], [])
    design = plan.space.baseline
    measurements.add_design(design, "as is")
    lookup = Lookup(measurements=measurements, plan=plan)
    candidate = Candidate(plan.space, design)
    assert lookup.share(LATENCY, candidate) is None
    assert lookup.find(LATENCY, design) is None
    assert rows(storage, DeploymentRow) == []
    stored = lookup.add(LATENCY, candidate, reading)
    known = lookup.find(LATENCY, design)
    assert known is not None
    assert dataclasses.replace(known, samples=(1.0,), number=None) == stored
    (row,) = rows(storage, DeploymentRow)
    assert (row.subject, row.timed_as) == (candidate.deployed_id, protocol)
