"""Functions that a copy of a network shares with the original."""

import copy
import re

import pytest
import torch
from torch import nn

from dsx.errors import DsxError
from dsx.space.network.analysis import analyse_network
from dsx.space.network.closures import function_with_module, second_reference
from tests.space.networks import (
    CallsForward,
    ComputesWithWeights,
    KeepsFunction,
    SecondReference,
)

IMAGES = torch.zeros(2, 1, 8, 8)


@pytest.mark.parametrize("way", ["lambda", "default", "inner", "deep"])
def test_a_function_that_refers_to_the_original_is_named(way: str) -> None:
    network = KeepsFunction(way)
    assert function_with_module(network) is None
    assert function_with_module(copy.deepcopy(network)) == "steps"
    assert function_with_module(nn.Sequential(copy.deepcopy(network))) == "0.steps"
    problem = "the network holds a function in 'steps' that refers to a module"
    with pytest.raises(DsxError, match=re.escape(problem)):
        analyse_network(network, IMAGES)


@pytest.mark.parametrize("way", ["partial", "method"])
def test_bound_methods_and_partials_are_copied(way: str) -> None:
    assert [slot.name for slot in analyse_network(KeepsFunction(way), IMAGES).slots] == ["conv"]


def test_modules_in_a_list_are_reported_separately() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = [nn.Conv2d(1, 10, 8)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.convs[0](x).flatten(1)
            return out

    with pytest.raises(DsxError, match=r"does not register.*plain list or dict"):
        analyse_network(Listed(), IMAGES)


def test_a_convolution_whose_forward_is_called_directly_is_excluded() -> None:
    found = analyse_network(CallsForward(), IMAGES)
    used = (
        "is not called as a module; only its weight is used (by conv.forward(x) instead of "
        "conv(x), or by a function)"
    )
    assert found.excluded == {
        "first": used,
        "second": used,
        "unused": "is not called in a forward pass",
    }
    assert [slot.name for slot in found.slots] == ["third"]


def test_a_convolution_whose_weight_is_used_directly_is_excluded() -> None:
    found = analyse_network(ComputesWithWeights(), IMAGES)
    assert found.untraced is not None
    used = (
        "is not called as a module; only its weight is used (by conv.forward(x) instead of "
        "conv(x), or by a function)"
    )
    assert found.excluded == {
        "halved": used,
        "masked": used,
        "read": "the network's own code reads its weights",
        "(no module)": "1 convolution not computed by a registered nn.Module",
    }


@pytest.mark.parametrize("way", ["dict", "partial", "object"])
def test_a_second_reference_to_a_module_is_found(way: str) -> None:
    network = SecondReference(way)
    assert second_reference(network, "conv") == "held"
    assert second_reference(nn.Sequential(network), "0.conv") == "0.held"
    assert second_reference(network, "first") is None
    assert function_with_module(copy.deepcopy(network)) is None
