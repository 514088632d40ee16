"""The slots of a network, and the closed-form cost of all else."""

import copy
import dataclasses
import re

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import KEEP, ConvSpec, Cost, preset
from dsx.errors import DsxError
from dsx.measure.flops import count
from dsx.space import redesign, slots
from dsx.space.census import census
from tests.space import networks
from tests.space.networks import TANGLE_SLOTS, Tangle, Tiny

IMAGES = torch.zeros(2, 3, 12, 12)
DIGITS = torch.zeros(2, 1, 8, 8)


def test_slots_are_the_convolutions_in_the_order_of_their_first_call() -> None:
    assert [slot.name for slot in slots(Tangle(), IMAGES)] == TANGLE_SLOTS


def test_a_slot_says_what_stands_there() -> None:
    found = {slot.name: slot for slot in slots(Tangle(), IMAGES)}
    grouped, oblong = found["grouped"], found["oblong"]
    assert (grouped.in_channels, grouped.out_channels, grouped.groups) == (8, 12, 4)
    assert (grouped.kernel_size, grouped.stride, grouped.bias) == ((3, 3), (2, 2), True)
    assert grouped.out_hw == ((6, 6),)
    assert (oblong.kernel_size, oblong.bias, oblong.out_hw) == ((1, 5), False, ((6, 6),))
    assert found["even"].out_hw == ((5, 5),)
    assert found["twice"].out_hw == ((12, 12), (12, 12))


def test_a_binary_basis_needs_no_scale_where_a_batch_norm_follows() -> None:
    assert [slot.name for slot in slots(Tangle(), IMAGES) if not slot.scaled] == ["parts.0"]
    assert all(slot.scaled for slot in slots(networks.Branching(), IMAGES))


def test_kept_weights_need_a_scale_everywhere() -> None:
    assert all(slot.scaled for slot in census(Tangle(), IMAGES, kept=True).slots)


def test_a_binary_basis_is_scaled_where_no_batch_norm_follows() -> None:
    found = {slot.name: slot for slot in slots(Tangle(), IMAGES)}
    basis = ConvSpec(binary_basis=4, kernel_shape="cross")
    for name, scale in (("parts.0", False), ("twice", True)):
        slot = found[name]
        assert slot.canonical(basis).scale is scale
        for said in (False, True):
            explicit = dataclasses.replace(basis, scale=said)
            assert slot.canonical(explicit) == explicit.at(slot)
        # Outputs with a factor each of 32 bits, or without.
        without, given = (
            slot.cost(dataclasses.replace(basis, scale=said)) for said in (False, True)
        )
        assert given.params - without.params == slot.out_channels
        assert slot.cost(basis) == (given if scale else without)


@pytest.mark.parametrize("name", ["parts.0", "twice"])
@pytest.mark.parametrize(
    "spec", [KEEP, ConvSpec(), ConvSpec(groups=2), preset("scc", scale=True), preset("depthwise")]
)
def test_real_weights_have_no_scale(name: str, spec: ConvSpec) -> None:
    slot = next(slot for slot in slots(Tangle(), IMAGES) if slot.name == name)
    assert slot.canonical(spec) == spec.at(slot)
    assert slot.canonical(spec).scale is None


def test_learned_shapes_have_an_expected_cost() -> None:
    twice = next(slot for slot in slots(Tangle(), IMAGES) if slot.name == "twice")
    cost = twice.cost(preset("lhc", density=0.5))
    weights = 8 * 8 * 9 // 2
    expected = Cost(
        params=weights + 8, flops=2 * weights * 144, bits=32 * (weights + 8) + 9, expected=True
    )
    assert cost == expected


def test_a_second_call_costs_flops_but_no_params() -> None:
    twice = next(slot for slot in slots(Tangle(), IMAGES) if slot.name == "twice")
    params = 8 * 8 * 9 + 8
    flops = 2 * 8 * 8 * 9 * 144
    assert twice.cost() == Cost(params=params, flops=flops, bits=32 * params)


def test_the_order_of_calls_not_of_names_decides() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a_last = nn.Conv2d(4, 4, 1)
            self.z_first = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.a_last(self.z_first(x))
            return out

    assert [slot.name for slot in slots(Backwards(), IMAGES)] == ["z_first", "a_last"]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_closed_form_is_what_is_counted_by_operator(batch: int) -> None:
    found = census(Tangle(), torch.zeros(batch, 3, 12, 12))
    assert found.cost({}).flops == count(Tangle(), torch.zeros(1, 3, 12, 12))
    params = sum(p.numel() for p in Tangle().parameters())
    assert found.cost({}) == Cost(params=params, flops=found.cost({}).flops, bits=32 * params)
    assert (found.input_shape, found.output_shape) == ((3, 12, 12), (5,))


def test_parts_of_an_image_may_be_folded_into_the_batch() -> None:
    found = census(networks.Frames(), torch.zeros(3, 1, 8, 8))
    assert found.slots[0].out_hw == ((1, 6),) * 8
    assert found.cost({}).flops == count(networks.Frames(), torch.zeros(1, 1, 8, 8))


def test_a_convolution_may_be_the_whole_network() -> None:
    (slot,) = slots(nn.Conv2d(3, 4, 3), IMAGES)
    assert (slot.name, slot.out_hw) == ("", ((10, 10),))


def test_a_redesigned_network_has_fewer_slots_and_its_closed_form_cost() -> None:
    specs = {
        "twice": ConvSpec(kernel_shape="cross"),
        "grouped": ConvSpec(separable=True),
        "dilated": ConvSpec(kernel_shape="het4"),
        "parts.0": ConvSpec(binary_basis=4, splits=2),
        "even": ConvSpec(binary_basis=3, separable=True),
    }
    network = Tangle()
    before, after = census(network, IMAGES), census(redesign(network, specs), IMAGES)
    assert [slot.name for slot in after.slots] == [n for n in TANGLE_SLOTS if n not in specs]
    canonical = {slot.name: specs[slot.name].at(slot) for slot in before.slots
                 if slot.name in specs}  # fmt: skip
    assert after.cost({}) == before.cost(canonical)


def test_the_network_is_left_as_it_is() -> None:
    network = Tangle().train()
    calls = []
    network.head.register_forward_hook(lambda *_: calls.append(1))
    state, generator = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    census(network, IMAGES)
    assert network.training
    assert all(len(module._forward_hooks) == (module is network.head)
               for module in network.modules())  # fmt: skip
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        (
            networks.WrongInput(),
            "the network does not run on an input of 2 x 1 x 8 x 8: RuntimeError: Given groups=1",
        ),
        (
            networks.Raises(),
            "the network does not run on an input of 2 x 1 x 8 x 8: LookupError: first line "
            "second line",
        ),
        (networks.TwoOutputs(), "the network returns a tuple, not one tensor"),
        (networks.Uncopyable(), "the network cannot be copied: Only Tensors created explicitly"),
    ],
)
def test_a_network_that_cannot_be_used_says_why_in_one_line(
    network: nn.Module, problem: str
) -> None:
    with pytest.raises(DsxError, match=re.escape(problem)) as caught:
        slots(network, DIGITS)
    assert "\n" not in str(caught.value)


def test_the_cost_of_a_design_is_that_of_its_parts() -> None:
    found = census(Tiny(), DIGITS)
    cross = found.slots[1].cost(ConvSpec(kernel_shape="cross"))
    params = 4 * 4 * 5
    assert cross == Cost(params=params, flops=params * 64, bits=32 * params)
    params = (4 + 4) + 4 * 4 * 5 + (4 * 10 + 10)
    flops = (4 + 4 * 4 * 5) * 64 + 4 * 10
    spec = {"conv": ConvSpec(kernel_shape="cross")}
    assert found.cost(spec) == Cost(params=params, flops=flops, bits=32 * params)
