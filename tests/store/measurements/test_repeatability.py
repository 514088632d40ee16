"""A/A check: agreement of repeated readings of a deployed network."""

import dataclasses

import numpy as np
import pytest
from sqlalchemy import text

from dsx.analysis.measurement import DeploymentFacts
from dsx.measure import Measurement, Provenance, this_device
from dsx.search.plan import make_plan
from dsx.space import load_space
from dsx.store.database.engine import open_database
from dsx.store.measurements.measurements import Deployment, MeasurementStore
from dsx.store.measurements.repeatability import Agreement, agree, agreement, load_agreement
from tests.search.spaces import QUICK


def around(value: float, half: float = 0.1, flagged: bool = False) -> Measurement:
    provenance = Provenance(noisy=flagged)
    return Measurement(value=value, low=value - half, high=value + half, provenance=provenance)


def test_the_interval_of_the_difference_decides() -> None:
    # Half the width of the interval of the difference is 0.1 x sqrt(2).
    assert agree(around(1.0), around(1.14)) and agree(around(1.14), around(1.0))
    assert not agree(around(1.0), around(1.15))
    # Only the ends of the intervals that face each other matter.
    lopsided = dataclasses.replace(around(1.0), low=-9.0)
    assert not agree(lopsided, around(1.15))


def test_pairs_are_of_one_network_and_flagged_pairs_are_counted_separately() -> None:
    networks = [
        [around(1.0), around(1.1), around(1.5)],
        [around(9.0)],
        [around(1.0), around(3.0, flagged=True)],
    ]
    assert agreement(networks) == Agreement(
        networks=2, pairs=3, agreeing=1, flagged_pairs=1, flagged_agreeing=0
    )
    assert agreement(networks).words == (
        "1 of 3 pairs of readings of the same deployed network agree within their 95 % "
        "intervals; with a flagged reading 0 of 1"
    )
    only = agreement([[around(1.0), around(3.0, flagged=True)]])
    assert only.words == (
        "0 of 1 pairs of readings of the same deployed network, all of them with a flagged "
        "reading, agree within their 95 % intervals"
    )
    assert agreement([[around(1.0)], []]).words == "no deployed network has several readings yet"


def test_correct_intervals_agree_in_95_of_100_pairs() -> None:
    rng = np.random.default_rng(0)
    networks = [[around(v, 1.96) for v in rng.normal(5, 1, 2)] for _ in range(4000)]
    found = agreement(networks)
    assert found.agreeing / found.pairs == pytest.approx(0.95, abs=0.01)


def test_stored_readings_are_checked_by_network_protocol_and_device(storage: str) -> None:
    measurements = MeasurementStore(open_database(storage, create=True), this_device())
    plan = make_plan(load_space(QUICK), measurements)
    design = plan.space.baseline
    measurements.add_design(design, "as is")

    def add(
        value: float,
        subject: str = "a" * 32,
        where: MeasurementStore = measurements,
        noisy: bool = False,
    ) -> None:
        protocol = plan.protocols["latency_ms"]
        half = 0.1 * value
        reading = Measurement(
            value=value, low=value - half, high=value + half, samples=(value,),
            provenance=Provenance(noisy=noisy),
        )  # fmt: skip
        deployment = Deployment(subject=subject, protocol=protocol, facts=DeploymentFacts())
        where.add(design.id, "latency_ms", protocol, reading, deployment)

    add(1.0)
    add(5.0, subject="b" * 32)
    add(
        5.0,
        where=MeasurementStore(measurements.engine, dataclasses.replace(this_device(), cores=4096)),
    )
    measurements.add(
        design.id, "accuracy", plan.protocols["accuracy"], Measurement(value=1, low=0, high=1)
    )
    measurements.add(
        design.id, "accuracy", plan.protocols["accuracy"], Measurement(value=1, low=0, high=1)
    )
    assert load_agreement(measurements.engine, measurements.device) == Agreement()
    add(1.05)
    add(2.0, noisy=True)
    expected = Agreement(networks=1, pairs=1, agreeing=1, flagged_pairs=2)
    assert load_agreement(measurements.engine, measurements.device) == expected
    # Damaged readings are excluded.
    for column in ("value = 'x'", "provenance = '[1]'", "provenance = '{'"):
        add(9.0)
        with measurements.engine.begin() as connection:
            connection.execute(text(f"UPDATE dsx_measurements SET {column} WHERE value = 9.0"))
        assert load_agreement(measurements.engine, measurements.device) == expected
