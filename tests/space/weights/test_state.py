"""Extra state of modules is stored as tensors and loaded without running code."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from dsx.errors import DsxError
from dsx.space.weights.state import decode, encode, restore, state_of
from tests.space.odd_networks import Extra, ExtraObject, NoState, Odd


def test_a_plain_state_is_unchanged() -> None:
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
def test_plain_values_are_restored(value: object) -> None:
    assert decode(encode({"a._extra_state": value})) == {"a._extra_state": value}


@pytest.mark.parametrize("value", [np.float64(0.5), np.int64(3), np.bool_(True)])
def test_numpy_numbers_are_restored_as_python_numbers(value: np.generic) -> None:
    found = decode(encode({"a._extra_state": value}))["a._extra_state"]
    assert found == value
    assert type(found) in {float, int, bool}


def test_values_that_cannot_be_stored_safely_are_rejected() -> None:
    problem = "its state dict contains a type (_extra_state), which cannot be stored"
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}"):
        state_of(ExtraObject())
    with pytest.raises(DsxError, match=r"^its state_dict\(\) returns a NoneType, not a dict$"):
        state_of(NoState())


class Failing(nn.Module):
    """Module whose extra state raises an exception."""

    def get_extra_state(self) -> object:
        return self.cache


def test_a_failing_state_dict_is_rejected_in_one_line() -> None:
    problem = r"^its state_dict\(\) fails: AttributeError: 'Failing' object has no"
    with pytest.raises(DsxError, match=problem):
        state_of(Failing())
