"""Measurements and their provenance, which is stored as plain JSON values."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.analysis.measurement import (
    DeploymentFacts,
    Energy,
    Machine,
    OperatorCount,
    PeakMemory,
    Predictions,
    Process,
    Record,
    Timing,
    from_json,
    to_json,
)
from dsx.measure import Measurement, Provenance

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 2**53)
NAMES = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
CALLS = st.dictionaries(st.text(max_size=5), COUNTS, max_size=3)
DETAILS = st.recursive(
    st.none() | st.booleans() | COUNTS | FLOATS | st.text(max_size=5),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3)
    ),
    max_leaves=5,
)
TIMES = dict.fromkeys(
    (
        *("raw_ms", "wall_ms", "reference_ms", "reference_sample_ms", "drift"),
        *("own_seconds", "seconds"),
    ),
    FLOATS,
)
PARTS: dict[str, st.SearchStrategy[Record]] = {
    "timing": st.builds(
        Timing, clock=st.text(), corrected=st.booleans(), blocks=COUNTS, calls=COUNTS, **TIMES
    ),
    "machine": st.builds(
        Machine,
        load_average=st.none() | FLOATS,
        others=st.none() | FLOATS,
        stolen=st.none() | FLOATS,
        heavy=st.lists(
            st.builds(Process, process=st.text(), pid=COUNTS, cores=FLOATS), max_size=2
        ).map(tuple),
        throttled=st.none() | st.booleans(),
        throttled_by=st.lists(st.text(), max_size=2).map(tuple),
    ),
    "deployment": st.builds(
        DeploymentFacts,
        forms=NAMES,
        folded_norms=COUNTS,
        unfolded_norms=COUNTS,
        untraced=st.none() | st.text(),
        deployed_params=st.none() | COUNTS,
        deployed_flops=st.none() | COUNTS,
        deployed_flops_not_counted=st.none() | st.text(),
    ),
    "operators": st.builds(
        OperatorCount,
        counted_by_operator=st.none() | COUNTS,
        unknown_operators=CALLS,
        unknown_to_check=CALLS,
        not_counted_by_operator=st.none() | st.text(),
    ),
    "predictions": st.builds(
        Predictions,
        chance=FLOATS,
        better_than_chance=st.sampled_from(["above", "below"]),
        images=st.none() | COUNTS,
        predicted_classes=st.none() | COUNTS,
        losses=st.none() | st.lists(FLOATS, max_size=3).map(tuple),
    ),
    "energy": st.builds(Energy, meter=st.text(), idle_watts=FLOATS, watts=FLOATS, calls=COUNTS),
    "memory": st.builds(PeakMemory, bytes=COUNTS, input_bytes=COUNTS),
}
PROVENANCES = st.builds(
    Provenance,
    converged=st.booleans(),
    noisy=st.none() | st.booleans(),
    data_notes=st.lists(st.text(), max_size=2).map(tuple),
    details=st.dictionaries(st.text(max_size=5), DETAILS, max_size=2),
    **{name: st.none() | part for name, part in PARTS.items()},
)


def test_every_part_of_a_provenance_is_tested() -> None:
    fields = {field.name for field in dataclasses.fields(Provenance)}
    assert fields - PARTS.keys() == {"converged", "noisy", "data_notes", "details"}


@given(PROVENANCES)
def test_a_provenance_is_unchanged_by_a_json_round_trip(provenance: Provenance) -> None:
    stored = json.loads(json.dumps(to_json(provenance), allow_nan=False))
    assert from_json(Provenance, stored) == provenance


def test_default_values_are_not_stored() -> None:
    assert to_json(Provenance()) == {}
    assert to_json(Provenance(noisy=None, memory=PeakMemory(bytes=2, input_bytes=1))) == {
        "noisy": None,
        "memory": {"bytes": 2, "input_bytes": 1},
    }
    assert from_json(Provenance, {}) == Provenance()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"wide": True}, "wide"),
        ({"predictions": {"chance": 0.1, "luck": 1}}, "predictions.luck"),
        ({"predictions": {}}, "predictions.chance"),
        ({"converged": 1}, "converged"),
        ({"memory": {"bytes": 1.0, "input_bytes": 1}}, "memory.bytes"),
        ({"energy": {"meter": "RAPL", "idle_watts": "1", "watts": 1, "calls": 1}}, "idle_watts"),
        ({"timing": []}, "timing"),
        ([], "Input should be an object"),
        ("converged", "Input should be an object"),
        (None, "Input should be an object"),
    ],
)
def test_a_field_that_is_unknown_missing_or_of_another_type_is_rejected(
    content: Any, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        from_json(Provenance, content)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_infinite_values_and_nan_are_neither_stored_nor_read(number: float) -> None:
    made = (
        Provenance(predictions=Predictions(chance=number)),
        Provenance(predictions=Predictions(chance=0.1, losses=(1.0, number))),
        Provenance(details={"a": [number]}),
    )
    for provenance in made:
        with pytest.raises(ValueError, match="cannot be stored: Out of range float"):
            to_json(provenance)
    for stored in ({"predictions": {"chance": number}}, {"details": {"a": [number]}}):
        with pytest.raises(ValueError, match="Out of range float"):
            from_json(Provenance, stored)


def test_numpy_scalars_become_python_numbers() -> None:
    made = Measurement(
        value=np.float32(0.5),  # type: ignore[arg-type]
        low=np.float32(0.25),  # type: ignore[arg-type]
        high=np.int64(1),  # type: ignore[arg-type]
        samples=np.array([1.0, 2.0]),  # type: ignore[arg-type]
        provenance=Provenance(details={"a": np.int64(3)}),
    )
    assert {type(number) for number in (made.value, made.low, *made.samples)} == {float}
    assert (type(made.high), made.sample_count) == (int, 2)
    assert json.dumps(to_json(made.provenance)) == '{"details": {"a": 3}}'


def test_a_measurement_is_flagged_if_it_is_unconverged_or_noisy() -> None:
    def made(**facts: Any) -> Measurement:
        return Measurement(value=2.0, low=1.5, high=2.5, provenance=Provenance(**facts))

    assert not made().flagged and not made(noisy=None).flagged
    assert made(noisy=True).flagged and made(converged=False).flagged
    assert made().relative_width == 0.5
    assert (made().chance, made().constant) == (None, False)
    told = made(predictions=Predictions(chance=0.1, better_than_chance="below"))
    assert (told.chance, told.better_than_chance, told.constant) == (0.1, "below", False)
    assert made(predictions=Predictions(chance=0.1, predicted_classes=1)).constant
