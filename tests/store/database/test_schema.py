"""Protocols that differ only in the training seed, and limits of columns."""

import pytest
from sqlalchemy.engine import make_url

from dsx.analysis.measurement import Provenance, from_json, to_json
from dsx.measure.machine.load import load_since, read_counters
from dsx.search.loop import MAX_SEED
from dsx.store.database.schema import ProtocolRow, StudyRow

TRAIN = {"epochs": 6, "seed": 3}


def row(**settings: object) -> ProtocolRow:
    return ProtocolRow(id="0", metric="accuracy", settings=settings)


@pytest.mark.parametrize(
    ("settings", "other", "seed"),
    [
        ({"train": TRAIN}, {"train": {**TRAIN, "seed": 4}}, 3),
        ({"seed": 3}, {"seed": 0}, 3),
        (
            {"batch": 1, "learned_shapes": {"train": TRAIN, "threads": 1}},
            {"batch": 1, "learned_shapes": {"train": {**TRAIN, "seed": 9}, "threads": 1}},
            3,
        ),
        (
            {"train": TRAIN, "learned_shapes": {"train": TRAIN}},
            {"train": {"seed": 1, "epochs": 6}, "learned_shapes": {"train": {**TRAIN, "seed": 1}}},
            3,
        ),
    ],
)
def test_protocols_that_differ_only_in_the_seed(
    settings: dict[str, object], other: dict[str, object], seed: int
) -> None:
    assert row(**settings).family == row(**other).family
    assert row(**settings).seed == seed
    assert row(**settings).learned == ("learned_shapes" in settings)


@pytest.mark.parametrize(
    ("settings", "other"),
    [
        ({"train": TRAIN}, {"train": {**TRAIN, "epochs": 7}}),
        ({"batch": 1}, {"batch": 2}),
        ({"batch": 1}, {"batch": 1, "learned_shapes": {"train": TRAIN}}),
        # The seed of a data split is not a training seed.
        ({"data_args": {"seed": 1}, "train": TRAIN}, {"data_args": {"seed": 2}, "train": TRAIN}),
    ],
)
def test_protocols_that_differ_in_more_than_the_seed(
    settings: dict[str, object], other: dict[str, object]
) -> None:
    assert row(**settings).family != row(**other).family


def test_every_seed_of_a_search_fits_into_its_column() -> None:
    postgresql = make_url("postgresql+psycopg://").get_dialect()()
    kind = StudyRow.__table__.columns["seed"].type.compile(postgresql)
    assert (MAX_SEED, kind) == (2**32 - 1, "BIGINT")


def test_a_protocol_without_training_has_no_seed() -> None:
    assert row(batch=1, train="as it is").seed is None


def test_the_provenance_of_a_reading_without_known_load_is_valid() -> None:
    judged = load_since(read_counters())
    assert judged.noisy is None
    provenance = Provenance(noisy=judged.noisy, machine=judged.machine)
    assert from_json(Provenance, to_json(provenance)) == provenance
