"""Tables: sums over slots are the costs of whole networks."""

import numpy as np
import pytest

from dsx.conv import Cost
from dsx.search.sampling.encoding import KEEP_SHARE
from dsx.search.screening import tables as module
from dsx.search.screening.tables import Tables
from dsx.space import load_space
from tests.search.screening.small import drawn, small
from tests.search.spaces import LEARNED, TINY


@pytest.mark.parametrize("file", ["digits", LEARNED, TINY])
def test_costs_are_those_of_the_design(file: object) -> None:
    space = load_space(str(file))
    tables = Tables.of(space)
    rows = tables.random(20, np.random.default_rng(0))
    for row, costs, cost in zip(rows, tables.costs(rows), tables.cost_objects(rows), strict=True):
        design = tables.design(row)
        expected = space.cost(design)
        assert costs.tolist() == [expected.params, expected.flops, expected.bits]
        assert cost == expected
        found = tables.row(design.specs)
        assert found is not None and found.tolist() == row.tolist()
    assert tables.learned(rows).tolist() == [tables.design(row).learned for row in rows]


def test_the_first_row_is_the_baseline() -> None:
    tables = small()
    assert tables.design(np.zeros(6, dtype=np.intp)) == tables.space.baseline
    assert tables.baseline.tolist() == [4_934, 48_544, 157_888]


def test_all_costs_at_once_are_arrays() -> None:
    rows = drawn(5)
    cost: Cost = small().cost_arrays(rows)
    assert np.asarray(cost.bits).tolist() == small().costs(rows)[:, 2].tolist()


def test_a_sixth_of_random_slots_is_unchanged() -> None:
    for table in small().slots:
        assert table.shares.sum() == pytest.approx(1)
        assert table.shares[0] == KEEP_SHARE
    rows = small().random(20_000, np.random.default_rng(0))
    assert (rows == 0).mean() == pytest.approx(KEEP_SHARE, abs=0.01)


def test_each_branch_of_the_tree_is_equally_probable() -> None:
    table = small().slots[0]
    separable = [next(iter(each.values())).separable for each in table.settings]
    # Half of the designs with dials are separable, although these are a sixth of the settings.
    assert table.shares[separable].sum() == pytest.approx((1 - KEEP_SHARE) / 2, rel=0.2)


def test_too_many_settings_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SETTINGS", 5)
    space = load_space(TINY)
    tables = Tables.of(space)
    (table,) = tables.slots
    every = space.slot_options[0].settings()
    assert len(table.settings) == 5 < len(every)
    assert table.settings[0] == every[0]
    assert all(each in every for each in table.settings)
    assert table.shares.sum() == pytest.approx(1)
    others = [each for each in every if each not in table.settings]
    assert tables.row(space.design(others[0]).specs) is None


def test_features_are_numbers_of_every_slot() -> None:
    widths = {table.features.shape[1] for table in small().slots}
    assert len(widths) == 1
    for table in small().slots:
        assert len(np.unique(table.features, axis=0)) == len(table.settings)
