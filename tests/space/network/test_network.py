"""Running, copying and initialising arbitrary networks."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from dsx.conv.network_calls import move, set_mode
from dsx.errors import DsxError
from dsx.space.network.analysis import analyse_network
from dsx.space.network.network import (
    copy_network,
    has_lazy_weights,
    initialise_lazy_weights,
    run,
    wrapped,
)
from dsx.space.weights.state import state_of
from tests.space import networks
from tests.space.odd_networks import Exits

DIGITS = torch.zeros(2, 1, 8, 8)


def test_lazy_weights_are_initialised_in_place_without_changing_the_mode() -> None:
    network = networks.Lazy().train()
    assert has_lazy_weights(network)
    initialise_lazy_weights(network, DIGITS)
    assert not has_lazy_weights(network)
    assert network.training
    assert type(network.conv1) is nn.Conv2d
    # In eval mode, so that the input does not change the statistics of its batch norm.
    assert network.norm.running_mean is not None
    assert not network.norm.running_mean.any()
    copy_network(network)


def test_a_network_without_lazy_weights_is_not_run() -> None:
    initialise_lazy_weights(networks.Raises(), DIGITS)


def test_logits_are_extracted_from_an_object() -> None:
    network = networks.Wrapped().eval()
    assert wrapped(network(DIGITS))
    assert torch.equal(run(network, DIGITS), network(DIGITS).logits)
    assert not wrapped(DIGITS)


def test_an_output_without_logits_is_rejected() -> None:
    with pytest.raises(DsxError, match=r"^the network returns a tuple, not one tensor$"):
        run(networks.TwoOutputs(), DIGITS)


def test_a_copy_has_python_numbers() -> None:
    copy, given = copy_network(networks.Widths()), networks.Widths()
    assert repr(copy) == repr(networks.plain_widths()) != repr(given)
    # Attributes of user-defined classes are unchanged.
    assert isinstance(copy.pool, np.int64)


@pytest.mark.parametrize(
    ("where", "work", "problem"),
    [("forward", lambda net: analyse_network(net, DIGITS), "the network does not run on an input "
      "of 2 x 1 x 8 x 8: SystemExit"),
     ("hook", lambda net: analyse_network(net, DIGITS), "the network does not run on an input of "
      "2 x 1 x 8 x 8: SystemExit"),
     ("train", lambda net: set_mode(net, True), "train() of Exits fails: SystemExit"),
     ("to", lambda net: move(net, "cpu"), "to() of Exits fails: SystemExit"),
     ("state_dict", state_of, "its state_dict() fails: SystemExit"),
     ("copy", copy_network, "the network cannot be copied: SystemExit")],
)  # fmt: skip
def test_code_of_the_network_cannot_end_dsx(
    where: str, work: Callable[[nn.Module], object], problem: str
) -> None:
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}$"):
        work(Exits(where))
