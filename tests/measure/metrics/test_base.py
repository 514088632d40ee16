"""Candidates: building, deployment and training are independent and happen once."""

import re
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, DsxConv
from dsx.conv.deploy import _choose
from dsx.measure import Candidate
from dsx.measure.candidate import DTYPES
from tests.measure.candidates import SMALL, SPECS, candidate
from tests.space.space_files import with_rules


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    """Copy the state of a network."""
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: nn.Module, other: dict[str, torch.Tensor]) -> bool:
    """Check whether a network has exactly this state."""
    return all(torch.equal(value, other[name]) for name, value in one.state_dict().items())


def test_the_same_seed_builds_the_same_network() -> None:
    before = torch.get_rng_state()
    first = candidate(specs=SPECS).network
    torch.randn(3)
    assert same(candidate(specs=SPECS).network, state(first))
    torch.set_rng_state(before)
    candidate(specs=SPECS).network  # noqa: B018
    assert torch.equal(torch.get_rng_state(), before)
    other = candidate(SMALL.replace("seed: 0", "seed: 1"), SPECS).network
    assert not same(other, state(first))


def test_unchanged_layers_have_the_weights_of_the_baseline() -> None:
    baseline, redesigned = candidate().network, candidate(specs=SPECS).network
    for name in ("stem.0", "stages.0.conv2", "head"):
        own, standing = (n.get_submodule(name).get_parameter("weight")
                         for n in (redesigned, baseline))  # fmt: skip
        assert torch.equal(own, standing), name


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_sample_has_batch_and_dtype_of_the_space(dtype: str) -> None:
    text = SMALL.replace("batch: 1}", f"batch: 3, dtype: {dtype}}}")
    first, again = candidate(text).sample, candidate(text).sample
    assert first.shape == (3, 1, 8, 8)
    assert first.dtype == DTYPES[dtype]
    assert torch.equal(first, again)


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_deploying_does_not_change_trained_weights(dtype: str) -> None:
    one = candidate(SMALL.replace("batch: 1}", f"dtype: {dtype}}}"), SPECS)
    before = state(one.network)
    deployed = one.deployed
    assert {p.dtype for p in one.network.parameters()} == {torch.float32}
    assert same(one.network, before)
    assert {p.dtype for p in deployed.parameters()} <= {DTYPES[dtype]}
    assert not any(isinstance(module, DsxConv) for module in deployed.modules())
    assert deployed(one.sample).dtype == DTYPES[dtype]


def test_network_is_trained_once() -> None:
    one = candidate()
    assert one.losses is None
    network = one.trained()
    losses, after = one.losses, state(network)
    assert losses is not None
    assert len(losses) == 1
    assert one.trained() is network
    assert one.losses is losses
    assert same(network, after)
    assert not network.training


def test_measuring_latency_first_does_not_change_training() -> None:
    text = SMALL.replace("batch: 1}", "dtype: bfloat16}")
    early, late = candidate(text, SPECS), candidate(text, SPECS)
    early.deployed  # noqa: B018
    assert same(early.trained(), state(late.trained()))


def test_selected_forms_are_cached() -> None:
    known = candidate().form_cache
    first = candidate(specs=SPECS)
    forms = {name: choice.form for name, choice in first.deployed.choices.items()}
    assert set(forms) == set(SPECS)
    assert first.form_cache
    known.update(first.form_cache)
    again = Candidate(first.space, first.design, known)
    assert {name: choice.form for name, choice in again.deployed.choices.items()} == forms
    assert set(known) == set(first.form_cache)


def in_form(form: str, text: str, specs: Mapping[str, ConvSpec] = SPECS) -> Candidate:
    """Deploy all slots of a candidate in one form, or the dense form if they do not support it."""
    one = candidate(text, dict(specs))
    candidates = _choose.candidates
    with pytest.MonkeyPatch.context() as patch:
        # The form is not selected by timing.
        patch.setattr(
            _choose,
            "candidates",
            lambda conv, native: {
                name: built
                for name, built in candidates(conv, native).items()
                if name == (form if form in candidates(conv, native) else "dense")
            },
        )
        _ = one.deployed
    return one


@pytest.mark.parametrize("layout", ["false", "true"])
@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_slots_that_fall_back_to_dense_run_as_the_baseline(layout: str, dtype: str) -> None:
    text = SMALL.replace("batch: 1}", f"dtype: {dtype}, channels_last: {layout}}}")
    dense, baseline = in_form("dense", text), candidate(text)
    assert {choice.form for choice in dense.deployed.choices.values()} == {"dense"}
    assert dense.design.id != baseline.design.id
    assert dense.deployed_id == baseline.deployed_id
    assert re.fullmatch("[0-9a-f]{32}", baseline.deployed_id)
    grouped = in_form("grouped", text)
    assert "grouped" in {choice.form for choice in grouped.deployed.choices.values()}
    assert grouped.deployed_id != dense.deployed_id


def test_the_deployed_network_is_the_same_before_and_after_training_with_any_seed() -> None:
    found = set()
    for text in (SMALL, SMALL.replace("seed: 0", "seed: 1")):
        found.add(in_form("dense", text).deployed_id)
        one = candidate(text, SPECS)
        for parameter in one.network.parameters():
            nn.init.normal_(parameter)
        trained = in_form("dense", text)
        trained.restore(one.network.state_dict())
        del trained.deployed
        found.add(trained.deployed_id)
    assert len(found) == 1


@pytest.mark.parametrize("measure", ["batch: 2}", "dtype: bfloat16}", "channels_last: true}"])
def test_another_input_changes_the_deployed_id(measure: str) -> None:
    assert candidate(SMALL.replace("batch: 1}", measure)).deployed_id != candidate().deployed_id


@pytest.mark.parametrize("name", ["ReturnsNothing", "ReturnsNothingUntraced"])
def test_network_whose_methods_return_none_is_measured_and_trained(name: str) -> None:
    rule = "{match: 'conv', kernel_shape: [full, cross]}"
    text = with_rules(rule, model=f"tests.space.networks:{name}").replace("{width: 8}", "{}")
    measured = candidate(text, {"conv": ConvSpec(kernel_shape="cross")})
    assert measured.deployed(measured.sample).shape == (1, 10)
    trained = measured.trained()
    assert not trained.training
    statistics = trained.get_submodule("norm").running_mean
    assert isinstance(statistics, Tensor)
    assert not statistics.any()
