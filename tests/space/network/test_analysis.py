"""Network analysis: slots, excluded convolutions, and the closed-form cost of the rest."""

import copy
import dataclasses
import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dsx.conv import KEEP, ConvSpec, Cost, preset
from dsx.errors import DsxError, SpecError
from dsx.measure.metrics.flops import count
from dsx.space import redesign, slots
from dsx.space.design import Design
from dsx.space.network.analysis import analyse_network
from tests.space import networks
from tests.space.networks import TANGLE_SLOTS, Tangle, Tiny
from tests.space.odd_networks import Surgery

IMAGES = torch.zeros(2, 3, 12, 12)
DIGITS = torch.zeros(2, 1, 8, 8)


def test_slots_are_the_convolutions_in_the_order_of_their_first_call() -> None:
    assert [slot.name for slot in slots(Tangle(), IMAGES)] == TANGLE_SLOTS


def test_a_slot_describes_the_original_convolution() -> None:
    found = {slot.name: slot for slot in slots(Tangle(), IMAGES)}
    grouped, oblong = found["grouped"], found["oblong"]
    assert (grouped.in_channels, grouped.out_channels, grouped.groups) == (8, 12, 4)
    assert (grouped.kernel_size, grouped.stride, grouped.bias) == ((3, 3), (2, 2), True)
    assert grouped.out_hw == ((6, 6),)
    assert (oblong.kernel_size, oblong.bias, oblong.out_hw) == ((1, 5), False, ((6, 6),))
    assert found["even"].out_hw == ((5, 5),)
    assert found["twice"].out_hw == ((12, 12), (12, 12))


def test_a_binary_basis_needs_no_scale_before_a_batch_norm() -> None:
    assert [slot.name for slot in slots(Tangle(), IMAGES) if not slot.scaled] == ["parts.0"]
    assert all(slot.scaled for slot in slots(networks.Branching(), IMAGES))


def test_kept_weights_require_a_scale() -> None:
    assert all(slot.scaled for slot in analyse_network(Tangle(), IMAGES, keep_weights=True).slots)


def test_a_binary_basis_is_scaled_without_a_following_batch_norm() -> None:
    found = {slot.name: slot for slot in slots(Tangle(), IMAGES)}
    basis = ConvSpec(binary_basis=4, kernel_shape="cross")
    for name, scale in (("parts.0", False), ("twice", True)):
        slot = found[name]
        assert slot.canonical(basis).scale is scale
        for explicit_scale in (False, True):
            explicit = dataclasses.replace(basis, scale=explicit_scale)
            assert slot.canonical(explicit) == explicit.at(slot)
        # With a scale, each output has a factor of 32 bits.
        unscaled, scaled = (
            slot.cost(dataclasses.replace(basis, scale=value)) for value in (False, True)
        )
        assert scaled.params - unscaled.params == slot.out_channels
        assert slot.cost(basis) == (scaled if scale else unscaled)


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


def test_slots_are_in_the_order_of_calls_not_of_names() -> None:
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
def test_the_closed_form_equals_the_count_by_operator(batch: int) -> None:
    found = analyse_network(Tangle(), torch.zeros(batch, 3, 12, 12))
    assert found.cost({}).flops == count(Tangle(), torch.zeros(1, 3, 12, 12))
    params = sum(p.numel() for p in Tangle().parameters())
    assert found.cost({}) == Cost(params=params, flops=found.cost({}).flops, bits=32 * params)
    assert (found.input_shape, found.output_shape) == ((3, 12, 12), (5,))


def test_image_rows_may_be_folded_into_the_batch() -> None:
    found = analyse_network(networks.Frames(), torch.zeros(3, 1, 8, 8))
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
    before, after = (
        analyse_network(network, IMAGES),
        analyse_network(redesign(network, specs), IMAGES),
    )
    assert [slot.name for slot in after.slots] == [n for n in TANGLE_SLOTS if n not in specs]
    canonical = {slot.name: specs[slot.name].at(slot) for slot in before.slots
                 if slot.name in specs}  # fmt: skip
    assert after.cost({}) == before.cost(canonical)


def test_the_analysed_network_is_not_modified() -> None:
    network = Tangle().train()
    calls = []
    network.head.register_forward_hook(lambda *_: calls.append(1))
    state, generator = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    analyse_network(network, IMAGES)
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
        (
            networks.TwoInputs(),
            "the network does not run on an input of 2 x 1 x 8 x 8: TypeError: TwoInputs.forward() "
            "missing 1 required positional argument: 'mask'",
        ),
        (
            networks.Listed(),
            "the network computes with weights that it does not register, so that they are neither "
            "trained nor saved (nn.ModuleList",
        ),
        (
            networks.ListedHead(),
            "the network computes with weights that it does not register",
        ),
        (
            networks.Late(),
            "the network creates weights in its first forward pass (fc.weight), which no optimiser",
        ),
        (
            networks.Autocast(),
            "the network computes in bfloat16 (such as by autocast in its forward): use",
        ),
        (networks.TwoOutputs(), "the network returns a tuple, not one tensor"),
        (networks.Uncopyable(), "the network cannot be copied: Only Tensors created explicitly"),
    ],
)
def test_an_unusable_network_is_rejected_in_one_line(network: nn.Module, problem: str) -> None:
    with pytest.raises(DsxError, match=re.escape(problem)) as caught:
        slots(network, DIGITS)
    assert "\n" not in str(caught.value)


def test_the_cost_of_a_design_is_the_sum_of_its_parts() -> None:
    found = analyse_network(Tiny(), DIGITS)
    cross = found.slots[1].cost(ConvSpec(kernel_shape="cross"))
    params = 4 * 4 * 5
    assert cross == Cost(params=params, flops=params * 64, bits=32 * params)
    params = (4 + 4) + 4 * 4 * 5 + (4 * 10 + 10)
    flops = (4 + 4 * 4 * 5) * 64 + 4 * 10
    spec = {"conv": ConvSpec(kernel_shape="cross")}
    assert found.cost(spec) == Cost(params=params, flops=flops, bits=32 * params)


LEFT_ALONE = {
    networks.Tied: {
        "conv": "shares weights with another module",
        "twin": "shares weights with another module",
    },
    networks.Hooked: {
        "conv": "has hooks, which a redesign would lose",
        "read": "the network's own code reads its weights",
    },
    networks.OldNorm: {"conv": "its weight is computed from other tensors"},
    networks.Functional: {"(no module)": "1 convolution not computed by a registered nn.Module"},
    networks.Patched: {
        "mix": "has hooks, which a redesign would lose",
        "conv": "has more than a weight and a bias, which a redesign would lose",
    },
    networks.Tiny: {},
    networks.Frames: {},
    networks.OneByOne: {},
    networks.Bracketed: {},
}


UNCOUNTED = {networks.OldNorm, networks.Patched}
"""Networks with operators that cannot be counted: spectral norm and backward hooks."""


@pytest.mark.parametrize("build", LEFT_ALONE)
def test_excluded_convolutions_have_a_reason(build: type[nn.Module]) -> None:
    network = build()
    found = analyse_network(network, DIGITS)
    assert found.excluded == LEFT_ALONE[build]
    convs = {name for name, module in network.named_modules() if type(module) is nn.Conv2d}
    assert {slot.name for slot in found.slots} == convs - found.excluded.keys()


def test_all_kinds_of_excluded_convolutions_are_listed() -> None:
    assert analyse_network(Tangle(), IMAGES).excluded == {
        "unused": "is not called in a forward pass",
        "up": "is a ConvTranspose2d, not a nn.Conv2d",
        "line": "is a Conv1d, not a nn.Conv2d",
        "volume": "is a Conv3d, not a nn.Conv2d",
        "normed": "its weight is computed from other tensors",
    }


@pytest.mark.parametrize(
    "build", [*(build for build in LEFT_ALONE if build not in UNCOUNTED), networks.NoSlots]
)
@pytest.mark.parametrize("batch", [1, 3])
def test_excluded_convolutions_are_counted(build: type[nn.Module], batch: int) -> None:
    network = build()
    found = analyse_network(network, torch.zeros(batch, 1, 8, 8))
    cost = found.cost({})
    assert cost.flops == count(network, torch.zeros(1, 1, 8, 8))
    assert cost.params == sum(p.numel() for p in network.parameters())


def test_fused_attention_is_counted() -> None:
    found = analyse_network(networks.Encoder(), DIGITS)
    layers = 8 * 24 + 8 * 8 + 2 * 8 * 16  # projections in and out, and two linear layers
    assert found.rest.flops == 64 * layers + 2 * 64 * 64 * 8 + 8 * 10


def test_an_empty_sample_is_rejected() -> None:
    with pytest.raises(DsxError, match="the sample contains no images"):
        slots(Tiny(), torch.zeros(0, 1, 8, 8))


def test_a_network_that_cannot_be_traced_has_a_reason() -> None:
    assert analyse_network(Tiny(), DIGITS).untraced is None
    assert "control flow" in str(analyse_network(networks.Branching(), IMAGES).untraced)


def test_attention_is_counted_by_the_products_of_its_matrices() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 8, 1)
            self.project = nn.Linear(8, 24)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.project(self.conv(x).flatten(2).mT).chunk(3, dim=-1)
            return nn.functional.scaled_dot_product_attention(q, k, v).mean(1)

    found = analyse_network(Attention(), DIGITS)
    # 64 pixels; two products of 64 x 64 x 8 per image.
    assert found.rest.flops == 64 * 8 * 24 + 2 * 64 * 64 * 8


def test_lazy_weights_must_be_initialised_first() -> None:
    network = networks.Lazy().eval()
    with pytest.raises(DsxError, match="uninitialised lazy weights"):
        analyse_network(network, DIGITS)
    network(DIGITS)
    assert [slot.name for slot in slots(network, DIGITS)] == ["conv1", "conv2"]


def test_logits_are_extracted_from_an_object() -> None:
    found = analyse_network(networks.Wrapped(), DIGITS)
    assert (found.output_shape, found.wrapped) == ((10,), True)
    assert not analyse_network(Tiny(), DIGITS).wrapped


def test_numpy_numbers_give_the_same_slots() -> None:
    found, plain = (
        analyse_network(networks.Widths(), DIGITS),
        analyse_network(networks.plain_widths(), DIGITS),
    )
    assert repr(found) == repr(plain)
    assert found.untraced is None
    specs = {slot.name: ConvSpec(groups=2, binary_basis=4) for slot in found.slots[1:]}
    design = Design.of("mine", {"width": np.int64(8)}, found, specs)
    same = Design.of("mine", {"width": 8}, plain, specs)
    assert (repr(design), design.id) == (repr(same), same.id)


@pytest.mark.parametrize(
    ("kind", "params", "flops", "alone"),
    [("grey", 160 + 2320 + 170, 9216 + 147456 + 160, {"first": "its in_channels is 3, but its "
      "weight of 16 x 1 x 3 x 3 requires 1: set in_channels to 1"}),
     ("pruned", 160 + 1160 + 90, 9216 + 73728 + 80, {"second": "its out_channels is 16, but its "
      "weight of 8 x 16 x 3 x 3 requires 8: set out_channels to 8"}),
     ("wider", 160 + 2320 + 170, 9216 + 147456 + 160, {"second": "its out_channels is 24, but its "
      "weight of 16 x 16 x 3 x 3 requires 16: set out_channels to 16"}),
     ("stride", 160 + 2320 + 170, 9216 + 36864 + 160, {})],
)  # fmt: skip
def test_a_convolution_with_inconsistent_attributes_is_counted_as_computed(
    kind: str, params: int, flops: int, alone: dict[str, str]
) -> None:
    network = Surgery(kind)
    found = analyse_network(network, DIGITS)
    assert found.excluded == alone
    assert {slot.name for slot in found.slots} == {"first", "second"} - alone.keys()
    assert (found.cost({}).params, found.cost({}).flops) == (params, flops)
    for name in alone:
        assert redesign(network, {name: KEEP})(DIGITS).shape == (2, 10)
        with pytest.raises(SpecError, match=f"^{name}: its .*_channels is "):
            redesign(network, {name: ConvSpec(kernel_shape="cross")})
    for slot in found.slots:
        assert redesign(network, {slot.name: ConvSpec(kernel_shape="cross")})(DIGITS).shape == (
            2,
            10,
        )
