"""Checks of a network before the first trial."""

import re

import pytest
import torch

from dsx.errors import SpaceError
from dsx.nets import network_builder
from dsx.space.probe.probe import fingerprint, probe
from tests.space.space_files import space, with_rules

HERE = "tests.space.networks"
RULE = "{match: '*conv*', kernel_shape: [full, cross], groups: [1, 2]}"


def of(model: str, rule: str = RULE) -> str:
    """Return a space file for a network of the tests."""
    return with_rules(rule, model=f"{HERE}:{model}").replace("{width: 8}", "{}")


@pytest.mark.parametrize("model", ["Tiny", "Lazy", "Wrapped", "OneByOne", "Encoder", "the_same"])
def test_a_network_that_can_be_searched_passes(model: str) -> None:
    rule = "{match: 'conv', binary_basis: 2}" if model == "Encoder" else RULE
    loaded = space(of(model, rule))
    before = torch.get_rng_state()
    probe(loaded)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_space_with_all_dials_passes() -> None:
    rule = "{match: '*', separable: [false, true], kernel_shape: [full, cross, learned]}"
    assert probe(space(with_rules(rule))) == ()


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("Skipper", "its code bypasses conv when it is redesigned (for example by isinstance "
         "checks on nn.Conv2d): keep the slot with a rule before the others: "
         "{match: 'conv', keep: true}"),
        ("second_reference", "it also holds conv in 'held', an attribute that torch does not "
         "search for modules, so that it still calls the original convolution when conv is "
         "redesigned: call it as conv, or keep the slot with a rule before the others: "
         "{match: 'conv', keep: true}"),
        ("Auxiliary", "the network returns a tuple in train mode, not a tensor"),
        ("Reading", "with redesigned slots the network does not run on an input of 2 x 1 x 8 x 8: "
         "AttributeError: 'SeparableConv2d' object has no attribute 'weight'; keep the slot with a "
         "rule before the others: {match: 'conv', keep: true}"),
    ],
)  # fmt: skip
def test_a_network_that_would_invalidate_a_search_is_rejected(model: str, problem: str) -> None:
    rule = "{match: 'conv', separable: true}" if model == "Reading" else RULE
    with pytest.raises(SpaceError, match=f"1: model: {re.escape(problem)}"):
        probe(space(of(model, rule)))


def test_a_network_that_shuffles_channels_by_the_groups_of_its_convolutions_passes() -> None:
    rule = "{match: '*', groups: [1, 2, 4], kernel_shape: [full, cross], binary_basis: [0, 4]}"
    loaded = space(of("Shuffling", rule))
    assert probe(loaded) == ()
    offered = {
        spec.groups
        for options in loaded.slot_options
        for s in options.settings()
        for spec in s.values()
    }
    assert {1, 2, 4} <= offered


def test_a_fingerprint_does_not_depend_on_the_training_seed() -> None:
    one, two = (of("Tiny").replace("seed: 0", f"seed: {seed}") for seed in (1, 2))
    assert fingerprint(space(one)) == fingerprint(space(two)) == fingerprint(space(of("Tiny")))


def test_a_fingerprint_depends_on_the_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(space(of("Tiny")))
    torch.manual_seed(9)
    assert fingerprint(space(of("Tiny"))) == first
    other = space(of("Tiny"))
    kind = network_builder(f"{HERE}:Tiny")
    monkeypatch.setattr(kind, "features", lambda self, x: self.conv(self.mix(x)))
    assert fingerprint(other) != first


def test_random_outputs_are_not_part_of_a_fingerprint() -> None:
    first, again = (fingerprint(space(of("Drawing"))) for _ in range(2))
    assert first == again


def test_a_fingerprint_does_not_depend_on_threads() -> None:
    threads = torch.get_num_threads()
    first = fingerprint(space(of("Tiny")))
    torch.set_num_threads(2)
    try:
        assert fingerprint(space(of("Tiny"))) == first
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("way", "source"), [("global", "aten.rand_like"), ("own", "aten.rand")])
def test_random_numbers_that_a_deployed_network_does_not_reproduce_are_the_reason(
    way: str, source: str
) -> None:
    text = with_rules(
        "{match: 'body.3', groups: [1, 2]}", model="tests.space.odd_networks:Reseeding"
    )
    problem = f"1: model: {source} draws random numbers in eval mode, which a deployed network"
    with pytest.raises(SpaceError, match=re.escape(problem)):
        probe(space(text.replace("{width: 8}", f"{{way: {way}}}")))
