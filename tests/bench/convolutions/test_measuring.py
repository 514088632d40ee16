"""Checking and timing of single cases."""

from pathlib import Path

import pytest

from dsx.bench._rounds import IDENTITY, Effort
from dsx.bench.convolutions import measuring
from dsx.bench.convolutions.cases import Case
from dsx.bench.convolutions.contenders import COMPOSITION, DENSE, GROUPED, LAST
from dsx.bench.convolutions.device_limit import Limit
from dsx.bench.convolutions.layers import Layer
from dsx.bench.convolutions.measuring import check, measure
from dsx.bench.convolutions.operators import PRESETS, sampled
from dsx.bench.convolutions.results import TRAINED
from dsx.conv.deploy import Choice
from dsx.measure.timing import device_lock as lock

NAMES = {operator.name: operator for operator in PRESETS}
EFFORT = Effort(seconds=0.0, least=2, most=2)
LIMIT = Limit(flops_per_s=1e9, bandwidths=((1e9, 1e9),))


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)


def case(name: str, training: bool = False) -> Case:
    operator = NAMES[name]
    layer = operator.layer(Layer(in_channels=32, out_channels=32, side=8))
    return Case(operator=operator, layer=layer, batch=2, training=training)


def test_all_contenders_of_a_case_are_timed() -> None:
    result = measure(case("scc g4 o.5"), LIMIT, {}, EFFORT)
    others = {DENSE, DENSE + LAST, GROUPED, GROUPED + LAST, COMPOSITION}
    assert result.over.keys() | {DENSE} == others
    assert (result.groups, result.share, result.batch, result.threads) == (4, 0.25, 2, 1)
    # Two images of 32 channels are read and written, and 32 x 8 weights are read.
    assert result.limit == pytest.approx(4 * (2 * 2 * 32 * 64 + 32 * 8) / 1e9)
    assert 0 < result.seconds < 1 and not result.skipped


@pytest.mark.parametrize("name", ["scc g2 o.33", "lhc .25", "slbf Cout/8", "scc"])
def test_a_training_step_is_timed(name: str) -> None:
    result = measure(case(name, training=True), LIMIT, {}, EFFORT)
    assert result.form == TRAINED and result.training and result.limit == 0
    assert all(ratio.rounds == 2 for ratio in result.over.values())


def test_a_block_is_deployed() -> None:
    result = measure(case("block g2 o.5"), LIMIT, {}, EFFORT)
    assert result.over.keys() == {DENSE, COMPOSITION}


def test_a_convolution_that_is_kept_is_not_timed() -> None:
    result = measure(case("standard"), LIMIT, {}, EFFORT)
    assert result.over == {DENSE: IDENTITY}
    assert (result.form, result.seconds, result.share) == ("unchanged", 0.0, 1.0)


def test_the_dense_form_is_not_compared_with_itself() -> None:
    forms: dict[str, Choice] = {}
    measure(case("hetconv p4"), LIMIT, forms, EFFORT)
    (situation,) = forms
    forms[situation] = Choice(form=DENSE, seconds={})
    result = measure(case("hetconv p4"), LIMIT, forms, EFFORT)
    assert result.form == DENSE and result.over[DENSE] == IDENTITY
    assert result.over[COMPOSITION].rounds == 2


def test_a_contender_that_needs_too_much_memory_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "MOST_BYTES", 50_000)
    result = measure(case("scc g2 o.33"), LIMIT, {}, EFFORT)
    assert result.skipped == {COMPOSITION: "working set of 0.0 GiB"}
    assert GROUPED in result.over


def test_a_case_that_appears_to_be_slower_is_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "SLOWER", 0.0)
    result = measure(case("ssc cross"), LIMIT, {}, EFFORT)
    assert result.over[DENSE].rounds == 2 + 3 * 2
    assert result.over[COMPOSITION].rounds == 2


@pytest.mark.parametrize("training", [False, True])
def test_every_form_is_checked(training: bool) -> None:
    assert check(case("slbf Cout/8", training)) >= 4
    assert check(case("standard", training)) == 0


def test_sampled_dials_are_checked() -> None:
    layer = Layer(in_channels=32, out_channels=32, side=4)
    for operator in sampled():
        assert check(Case(operator=operator, layer=layer, batch=1)) >= 4
