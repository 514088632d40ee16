"""Extra state of modules is stored as tensors, and read without running code."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from dsx.errors import DsxError
from dsx.space.weights.state import decode, encode, restore, state_of
from tests.space.odd_networks import Extra, ExtraObject, NoState, Odd


def test_plain_state_is_as_it_is() -> None:
    network = Odd()
    assert state_of(network).keys() == network.state_dict().keys()
    assert decode(state_of(network)).keys() == network.state_dict().keys()


def test_extra_state_is_carried_over() -> None:
    network, other = Extra(), Extra()
    network.steps = 5
    state = state_of(network)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    restore(other, state)
    assert other.steps == 5
    assert torch.equal(other.head.weight, network.head.weight)


@pytest.mark.parametrize("value", [None, 3, "words", [1.5, {"a": (True, b"bytes")}], {}])
def test_plain_values_come_back(value: object) -> None:
    assert decode(encode({"a._extra_state": value})) == {"a._extra_state": value}


@pytest.mark.parametrize("value", [np.float64(0.5), np.int64(3), np.bool_(True)])
def test_numbers_of_numpy_come_back_as_those_of_python(value: np.generic) -> None:
    found = decode(encode({"a._extra_state": value}))["a._extra_state"]
    assert found == value
    assert type(found) in {float, int, bool}


def test_what_cannot_be_stored_safely_is_refused() -> None:
    problem = "its state dict holds a type alongside tensors (_extra_state), which cannot be stored"
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}"):
        state_of(ExtraObject())
    with pytest.raises(DsxError, match=r"^its state_dict\(\) returns a NoneType, not a dict$"):
        state_of(NoState())


class Failing(nn.Module):
    """Has extra state that it cannot give."""

    def get_extra_state(self) -> object:
        return self.cache


def test_a_state_dict_that_fails_is_refused_in_one_line() -> None:
    problem = r"^its state_dict\(\) fails: AttributeError: 'Failing' object has no"
    with pytest.raises(DsxError, match=problem):
        state_of(Failing())
