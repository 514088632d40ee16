"""Multiply-adds of a deployed network, compared with the counts of its forms."""

import re

import pytest
import torch
from torch import Tensor

from dsx.conv import ConvSpec
from dsx.errors import NotCounted
from dsx.measure import Candidate
from dsx.measure.metrics.deployed_flops import METRIC, counted_deployment
from tests.export.always import Always
from tests.measure.candidates import SMALL, candidate
from tests.measure.facts import operators
from tests.space import networks
from tests.space.space_files import with_rules

SLOT = "stages.0.conv1"


def deployed(spec: ConvSpec, form: str) -> Candidate:
    one = candidate(SMALL, {SLOT: spec})
    one.form_cache = Always(form)
    return one


def test_deployed_flops_of_the_baseline_equal_its_flops() -> None:
    one = candidate(SMALL)
    assert METRIC.read(one).value == one.cost.flops


def test_dense_form_includes_zeros_and_other_forms_do_not() -> None:
    cross = ConvSpec(kernel_shape="cross")
    dense, box = deployed(cross, "dense"), deployed(ConvSpec(kernel_shape="row"), "box")
    assert METRIC.read(dense).value == candidate(SMALL).cost.flops > dense.cost.flops
    assert METRIC.read(box).value == box.cost.flops


def test_flops_are_counted_for_one_image_of_a_batch() -> None:
    one = candidate(SMALL.replace("batch: 1}", "batch: 3}"))
    assert METRIC.read(one).value == one.cost.flops


def test_counted_deployment() -> None:
    one = deployed(ConvSpec(kernel_shape="cross"), "dense")
    found = counted_deployment(one)
    assert found.deployed_flops == METRIC.read(one).value
    assert found.deployed_params is not None and found.deployed_params > one.cost.params


class Unfollowed(networks.Tiny):
    """A network that raises an error in a tracer and branches on its input."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            raise TypeError("no tracing, please")
        return super().forward(-x if x.sum() > 0 else x)


def baseline_of(network: str) -> Candidate:
    text = with_rules("{match: '*', groups: [2]}", model=network)
    return candidate(text.replace("{width: 8}", "{}"))


def test_network_that_cannot_be_traced_is_an_error_with_the_reason() -> None:
    one = baseline_of(f"{__name__}:Unfollowed")
    problem = "the operator counter cannot trace the network: TypeError: no tracing, please"
    with pytest.raises(NotCounted, match=re.escape(problem)):
        METRIC.read(one)
    found = counted_deployment(one)
    assert found.deployed_params is not None and found.deployed_flops is None
    assert found.deployed_flops_not_counted == problem


def test_unknown_operators_are_named() -> None:
    reading = METRIC.read(baseline_of("tests.space.networks:Strange"))
    assert operators(reading).unknown_operators == {"aten::fft_fft": 1}
