"""Running, copying and completing networks that dsx knows nothing of."""

import numpy as np
import pytest
import torch
from torch import nn

from dsx.errors import DsxError
from dsx.space.network import copied, lazy, materialise, run, wrapped
from tests.space import networks

DIGITS = torch.zeros(2, 1, 8, 8)


def test_a_lazy_network_is_completed_in_place_and_left_in_its_mode() -> None:
    network = networks.Lazy().train()
    assert lazy(network)
    materialise(network, DIGITS)
    assert not lazy(network)
    assert network.training
    assert type(network.conv1) is nn.Conv2d
    # In eval mode: what it was completed with is not in its BN.
    assert network.norm.running_mean is not None
    assert not network.norm.running_mean.any()
    copied(network)


def test_a_complete_network_is_not_run() -> None:
    materialise(networks.Raises(), DIGITS)


def test_logits_are_taken_out_of_an_object() -> None:
    network = networks.Wrapped().eval()
    assert wrapped(network(DIGITS))
    assert torch.equal(run(network, DIGITS), network(DIGITS).logits)
    assert not wrapped(DIGITS)


def test_an_object_without_logits_is_refused() -> None:
    with pytest.raises(DsxError, match=r"^the network returns a tuple, not one tensor$"):
        run(networks.TwoOutputs(), DIGITS)


def test_a_copy_has_numbers_of_python() -> None:
    copy, given = copied(networks.Widths()), networks.Widths()
    assert repr(copy) == repr(networks.plain_widths()) != repr(given)
    # What the network's own code reads is unchanged.
    assert isinstance(copy.pool, np.int64)
