"""Geometry and cost of slots."""

import torch

from dsx.conv import ConvSpec, Cost
from dsx.space import slots
from tests.space.networks import Tangle


def test_a_slot_has_the_geometry_of_its_convolution() -> None:
    found = {slot.name: slot for slot in slots(Tangle(), torch.zeros(2, 3, 12, 12))}
    grouped = found["grouped"]
    assert (grouped.in_channels, grouped.out_channels) == (8, 12)
    assert (grouped.kernel_size, grouped.stride) == ((3, 3), (2, 2))


def test_a_slot_costs_what_its_spec_says() -> None:
    found = {slot.name: slot for slot in slots(Tangle(), torch.zeros(2, 3, 12, 12))}
    params = 12 * 2 * 5 + 12  # crosses in four groups, and a bias
    crosses = ConvSpec(kernel_shape="cross", groups=4)
    cost = found["grouped"].cost(crosses)
    assert cost == Cost(params=params, flops=12 * 2 * 5 * 36, bits=32 * params)
