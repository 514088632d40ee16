"""Models of objectives and constraints."""

from pathlib import Path

import numpy as np
import pytest

from dsx.measure import Metric
from dsx.search.plan import find_metrics
from dsx.search.screening.history import Known, Reading
from dsx.search.screening.models import ClosedForm, Fitted, Models, fit
from dsx.search.screening.scales import LogErrors, Ranks
from dsx.search.screening.tables import Rows, Tables
from dsx.space import load_space
from tests.search.screening.small import difficulty, drawn, small
from tests.search.spaces import LEARNED, STATIC, varied


def accuracies(rows: Rows, seed: int = 0, examples: int | None = 360) -> list[Known]:
    """Simulate accuracies that fall as networks become smaller."""
    rng = np.random.default_rng(seed)
    errors = rng.binomial(360, np.exp(difficulty(rows) * 0.4 - 3.5))
    values = (1 - errors / 360).tolist()
    return [
        Known(row=row, readings={"accuracy": Reading(value=v, error=0.01, examples=examples)})
        for row, v in zip(rows, values, strict=True)
    ]


def test_accuracies_are_modelled_by_the_logarithm_of_the_errors() -> None:
    found = fit(small(), "accuracy", "fraction", -1.0, accuracies(drawn(30)))
    assert isinstance(found.scale, LogErrors)
    assert found.tau is not None and found.tau > 0.2
    new = drawn(50, seed=4)
    values, deviations = found.predict(new)
    assert np.corrcoef(values, -difficulty(new))[0, 1] > 0.7
    assert (values < 1).all() and (deviations > 0).all()


def test_a_metric_without_results_per_example_is_modelled_by_ranks() -> None:
    found = fit(small(), "accuracy", "fraction", -1.0, accuracies(drawn(30), examples=None))
    assert isinstance(found.scale, Ranks)
    new = drawn(50, seed=4)
    assert np.corrcoef(found.predict(new).values, -difficulty(new))[0, 1] > 0.6


def test_a_model_that_does_not_predict_is_ignored() -> None:
    rows = drawn(20)
    rng = np.random.default_rng(3)
    ignored = 0
    for _ in range(5):
        known = [
            Known(row=row, readings={"energy": Reading(value=value, error=0.1)})
            for row, value in zip(rows, rng.standard_normal(20).tolist(), strict=True)
        ]
        found = fit(small(), "energy", "mJ", 1.0, known)
        if found.process is None:
            ignored += 1
            assert found.tau is not None and found.tau <= 0
            assert len(set(found.predict(rows).values.tolist())) == 1
    assert ignored


def test_two_designs_are_no_basis_of_a_model() -> None:
    found = fit(small(), "accuracy", "fraction", -1.0, accuracies(drawn(2)))
    assert (found.process, found.tau) == (None, None)


def test_a_closed_form_that_takes_no_arrays_is_called_for_each_design() -> None:
    rows = drawn(6)
    one = ClosedForm(tables=small(), function=lambda cost: max(cost.bits, 20_000), deviation=0.0)
    all_ = ClosedForm(tables=small(), function=lambda cost: cost.bits, deviation=0.0)
    bits = small().costs(rows)[:, 2]
    assert one.predict(rows).values.tolist() == np.maximum(bits, 20_000).tolist()
    assert all_.predict(rows).values.tolist() == bits.tolist()


def models(space_file: Path, known: list[Known], tables: Tables | None = None) -> Models:
    space = load_space(space_file)
    metrics: dict[str, Metric] = find_metrics(space)
    return Models(space, tables or Tables.of(space), metrics, known, {})


def test_closed_form_constraints_are_exact(tmp_path: Path) -> None:
    rows = drawn(200)
    flops = small().costs(rows)[:, 1]
    baseline = Known(row=rows[0], readings={"flops": Reading(value=float(flops[0]))})
    found = models(STATIC, [baseline], small())
    assert found.feasible(rows).tolist() == (flops <= 0.5 * flops[0]).tolist()
    absolute = varied(STATIC, tmp_path, '"<= 50%"', '">= 20k"')
    assert models(absolute, [baseline], small()).feasible(rows).tolist() == [
        *(flops >= 20_000).tolist()
    ]


def test_predicted_constraints_have_a_margin(tmp_path: Path) -> None:
    space = varied(STATIC, tmp_path, 'flops: "<= 50%"', 'accuracy: ">= 0.93"')
    known = accuracies(drawn(30))
    found = models(space, known, small())
    new = drawn(100, seed=6)
    values, deviations = found.model("accuracy").predict(new)
    assert found.feasible(new).tolist() == (values - deviations >= 0.93).tolist()
    assert 0 < found.feasible(new).sum() < (values >= 0.93).sum()


def test_learned_shapes_have_the_deviation_that_was_measured() -> None:
    space = load_space(LEARNED)
    tables = Tables.of(space)
    (learned,) = {int(n) for n in np.flatnonzero(tables.slots[0].learned)[:1]}
    row = np.array([learned])
    expected = tables.costs(row[None])[0, 0]
    off = [
        Known(row=row, readings={"params": Reading(value=expected * factor)})
        for factor in (1.5, 0.7, 1.4, 0.6, 1.5)
    ]
    exact = [Known(row=row, readings={"params": Reading(value=expected)})] * 5
    wide = models(LEARNED, off).model("params")
    narrow = models(LEARNED, exact).model("params")
    assert isinstance(wide, ClosedForm) and isinstance(narrow, ClosedForm)
    assert narrow.deviation < 0.1 < wide.deviation
    assert wide.predict(row[None]).deviations[0] == pytest.approx(wide.deviation * expected)
    assert wide.predict(np.zeros((1, 1), dtype=np.intp)).deviations[0] == 0


def test_objectives_are_costs() -> None:
    known = [
        Known(row=row, readings={"params": Reading(value=1.0), "flops": Reading(value=1.0)})
        for row in drawn(3)
    ]
    found = models(STATIC, known, small())
    assert found.costs(drawn(5)).tolist() == small().costs(drawn(5))[:, :2].tolist()
    assert found.uncertain(drawn(5)) == {}
    assert not isinstance(found.model("flops"), Fitted)
