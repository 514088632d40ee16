"""Checking and timing of single cases."""

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from dsx.bench._rounds import IDENTITY, LEAST_INTERVAL, Effort
from dsx.bench.convolutions import measuring
from dsx.bench.convolutions.cases import Case
from dsx.bench.convolutions.contenders import (
    COMPOSITION,
    DENSE,
    GROUPED,
    LAST,
    Lineup,
    line_up,
)
from dsx.bench.convolutions.device_limit import Limit
from dsx.bench.convolutions.goals import summarise
from dsx.bench.convolutions.layers import Layer
from dsx.bench.convolutions.measuring import check, measure
from dsx.bench.convolutions.operators import PRESETS, SPLITS, Operator, sampled
from dsx.bench.convolutions.results import LEFT_OUT, TRAINED
from dsx.conv.deploy import Choice, candidates
from dsx.errors import WorkFailed
from dsx.measure.timing import device_lock as lock

NAMES = {operator.name: operator for operator in (*PRESETS, *SPLITS)}
EFFORT = Effort(seconds=0.0, least=LEAST_INTERVAL, most=LEAST_INTERVAL)
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
    assert 1 <= result.padding < 1.1


@pytest.mark.parametrize("name", ["scc g2 o.33", "lhc .25", "slbf Cout/8", "scc"])
def test_a_training_step_is_timed(name: str) -> None:
    result = measure(case(name, training=True), LIMIT, {}, EFFORT)
    assert result.form == TRAINED and result.training and result.limit == 0
    assert {DENSE, DENSE + LAST, COMPOSITION} <= result.over.keys()
    assert result.over[DENSE].rounds == LEAST_INTERVAL
    assert result.over[DENSE].low is not None
    assert result.over[COMPOSITION].rounds == 3 and result.over[COMPOSITION].low is None


def test_a_block_is_deployed() -> None:
    forms: dict[str, Choice] = {}
    result = measure(case("block g2 o.5"), LIMIT, forms, EFFORT)
    assert result.over.keys() == {DENSE, DENSE + LAST, COMPOSITION}
    assert result.form in {choice.form for choice in forms.values()}
    assert (result.groups, result.share) == (2, 0.5) and result.over[DENSE].low is not None
    # Two images, a depthwise kernel of 3 x 3 and windows of 16 channels.
    assert result.limit == pytest.approx(2 * 8 * 8 * 32 * (9 + 16) / 1e9)


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
    assert result.over[COMPOSITION].rounds == 3


@pytest.mark.parametrize("training", [False, True])
def test_a_case_with_a_contender_that_needs_too_much_memory_is_left_out(
    monkeypatch: pytest.MonkeyPatch, training: bool
) -> None:
    sizes = {
        name: contender.size * (3 if training else 1)
        for name, contender in line_up(
            NAMES["scc g2 o.33"], case("scc g2 o.33").layer, 2
        ).contenders.items()
    }
    assert max(sizes, key=sizes.__getitem__) == COMPOSITION
    monkeypatch.setattr(measuring, "MOST_BYTES", max(sizes.values()))
    assert measure(case("scc g2 o.33", training), LIMIT, {}, EFFORT).over
    monkeypatch.setattr(measuring, "MOST_BYTES", max(sizes.values()) - 1)
    result = measure(case("scc g2 o.33", training), LIMIT, {}, EFFORT)
    assert (result.form, result.over, result.seconds) == (LEFT_OUT, {}, 0.0)
    assert result.skipped == "composition: working set of 0.0 GiB"
    assert summarise([result]) == []


def test_a_case_that_appears_to_be_slower_is_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "SLOWER", 0.0)
    result = measure(case("ssc cross"), LIMIT, {}, EFFORT)
    assert result.over[DENSE].rounds == LEAST_INTERVAL + 3 * LEAST_INTERVAL
    assert result.over[COMPOSITION].rounds == 3


def test_a_case_that_is_not_slower_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "SLOWER", 1e9)
    result = measure(case("ssc cross"), LIMIT, {}, EFFORT)
    assert result.over[DENSE].rounds == LEAST_INTERVAL


@pytest.mark.parametrize("name", ["slbf Cout/8", "scc g2 o.5", "block g2 o.5", "slbf Cout/4 s4"])
def test_every_form_and_every_contender_is_checked(name: str) -> None:
    found = line_up(case(name).operator, case(name).layer, 2)
    # A block is deployed as a whole, in one form.
    forms = 1 if "block" in name else len(candidates(found.conv.eval(), native=True))
    assert check(case(name)) == forms + len(found.contenders)


def test_every_gradient_is_checked() -> None:
    # The output, and gradients of the input and of the weight, of six contenders.
    assert check(case("scc g2 o.5", training=True)) == 6 * 3
    # Further gradients of the convolution and of the composition: the depthwise weight and bias,
    # which the dense convolutions have in the form of a bias.
    assert check(case("scc", training=True)) == 2 * 5 + 2 * 4


def test_a_convolution_that_is_kept_has_nothing_to_check() -> None:
    assert check(case("standard")) == check(case("standard", training=True)) == 0


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("operator", sampled(), ids=lambda operator: operator.name)
def test_sampled_dials_are_checked(operator: Operator, training: bool) -> None:
    layer = Layer(in_channels=32, out_channels=32, side=4)
    # Three contenders, and at least a form or a gradient of each of them.
    assert (
        check(Case(operator=operator, layer=layer, batch=1, training=training)) > 3 + training * 3
    )


def test_nothing_is_timed_after_a_wrong_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return 1.01 * output

    def of_wrong_composition(*arguments: Any) -> Lineup:
        found = line_up(*arguments)
        found.contenders[COMPOSITION].module.register_forward_hook(wrong)
        return found

    monkeypatch.setattr(measuring, "line_up", of_wrong_composition)
    for training in (False, True):
        with pytest.raises(WorkFailed, match=r"output of composition is wrong.*nothing is timed"):
            measure(case("ssc cross", training), LIMIT, {}, EFFORT)
