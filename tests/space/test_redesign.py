"""Redesigned networks, which are built without modifying the original."""

import copy
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, DsxConv, preset
from dsx.conv.modules.binary import BinaryConv2d
from dsx.errors import DsxError, SpecError
from dsx.nets.small_cnn import SmallCnn
from dsx.space import redesign, slots
from tests.space import networks
from tests.space.networks import TANGLE_SLOTS, Branching, Tangle, Uncopyable

CROSS = ConvSpec(kernel_shape="cross")
GROUPS = ConvSpec(groups=2)
IMAGES = (2, 3, 12, 12)


def run(network: nn.Module) -> Tensor:
    """Run a network in eval mode on the images of its seed."""
    generator = torch.Generator().manual_seed(0)
    network = copy.deepcopy(network).eval()
    with torch.no_grad():
        out: Tensor = network(torch.randn(IMAGES, generator=generator))
    return out


def test_each_slot_can_be_redesigned() -> None:
    specs = {name: GROUPS for name in TANGLE_SLOTS if name != "stem.in.0"}
    network = redesign(Tangle(), specs | {"stem.in.0": preset("depthwise", channel_stride=1)})
    for name in TANGLE_SLOTS:
        part = network.get_submodule(name)
        assert isinstance(part, DsxConv), name
    assert run(network).shape == (2, 5)


def test_the_given_network_is_not_modified() -> None:
    network = Tangle().train()
    network.twice.eval()
    calls = []
    handle = network.grouped.register_forward_hook(lambda *_: calls.append(1))
    parts, state = dict(network.named_modules()), copy.deepcopy(network.state_dict())
    small = redesign(network, {"twice": CROSS, "even": GROUPS}, keep_weights=True)
    for parameter in small.parameters():
        parameter.data.fill_(3)
    assert dict(network.named_modules()) == parts
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert network.training
    assert not network.twice.training
    assert list(network.grouped._forward_hooks) == [handle.id]
    assert calls == []


def test_nothing_is_shared_with_the_given_network() -> None:
    network = Tangle()
    own = {id(p) for p in network.parameters()} | {id(b) for b in network.buffers()}
    small = redesign(network, {"twice": CROSS})
    assert not own & {id(p) for p in [*small.parameters(), *small.buffers()]}


def test_unchanged_slots_compute_the_same_output() -> None:
    network = Tangle()
    assert torch.equal(run(redesign(network, {})), run(network))
    kept = {name: ConvSpec(kernel_shape="keep") for name in TANGLE_SLOTS}
    same = redesign(network, kept | {"grouped": ConvSpec(groups=4)})
    assert type(same.get_submodule("grouped")) is nn.Conv2d
    assert torch.equal(run(same), run(network))


def test_training_mode_and_dtype_are_kept() -> None:
    network = Tangle().double()
    network.even.eval()
    small = redesign(network, {"twice": CROSS, "even": GROUPS, "dilated": preset("scc")})
    assert small.training
    assert small.get_submodule("twice").training
    assert not any(part.training for part in small.get_submodule("even").modules())
    assert {p.dtype for p in small.parameters()} == {torch.float64}


@pytest.mark.parametrize("name", ["twice", "alias"])
def test_a_convolution_with_two_names_is_redesigned_under_both(name: str) -> None:
    small = redesign(Tangle(), {name: CROSS})
    assert isinstance(small.get_submodule("twice"), DsxConv)
    assert small.get_submodule("twice") is small.get_submodule("alias")


def test_one_convolution_cannot_take_two_specs() -> None:
    same = redesign(Tangle(), {"twice": CROSS, "alias": CROSS})
    assert same.get_submodule("twice") is same.get_submodule("alias")
    problem = "alias: is the same convolution as twice, with a different spec"
    with pytest.raises(SpecError, match=problem):
        redesign(Tangle(), {"twice": CROSS, "alias": GROUPS})
    with pytest.raises(SpecError, match=problem):
        redesign(Tangle(), {"twice": ConvSpec(), "alias": GROUPS})


def test_a_module_in_two_places_is_redesigned_in_both() -> None:
    block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())
    network = nn.ModuleDict({"a": block, "b": nn.ModuleList([block])})
    small = redesign(network, {"b.0.0": CROSS})
    assert isinstance(small.get_submodule("a.0"), DsxConv)
    assert small.get_submodule("a.0") is small.get_submodule("b.0.0")


def test_the_root_itself_can_be_redesigned() -> None:
    conv = nn.Conv2d(3, 4, 3)
    small = redesign(conv, {"": CROSS})
    assert isinstance(small, DsxConv)
    assert type(conv) is nn.Conv2d


def test_weights_are_kept_as_far_as_the_shape_allows() -> None:
    network = Tangle()
    small = redesign(network, {"twice": CROSS, "even": GROUPS}, keep_weights=True)
    cross, groups = small.get_submodule("twice"), small.get_submodule("even")
    assert isinstance(cross, DsxConv)
    assert isinstance(groups, DsxConv)
    live = cross.dense_weight() != 0
    assert int(live.sum()) == 8 * 8 * 5
    assert torch.equal(cross.dense_weight()[live], network.twice.weight[live])
    assert torch.equal(groups.dense_weight()[:3, :3], network.even.weight[:3, :3])
    assert cross.dense_bias() is not None
    assert torch.equal(cross.dense_bias(), network.twice.bias)  # type: ignore[arg-type]


def test_fresh_weights_come_from_the_global_seed() -> None:
    network = Tangle()
    first, again, other = (
        run(redesign(network, {"twice": CROSS})) for seed in (1, 1, 2) if torch.manual_seed(seed)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("specs", "problem"),
    [
        ({"twise": CROSS}, "no slot called 'twise' (allowed: "),
        ({"head": CROSS}, "no slot called 'head' (allowed: "),
        ({"even": CROSS}, "even: kernel_shape cross needs an odd square kernel"),
        ({"twice": ConvSpec(groups=3)}, "twice: groups = 3 does not divide the 8 input channels"),
        (
            {"parts.0": ConvSpec(kernel_shape="learned")},
            "parts.0: learned shapes need a kernel larger than 1 x 1",
        ),
        (
            {"twice": ConvSpec(binary_basis=4, splits=3)},
            "twice: splits = 3 does not divide the window of 8 channels",
        ),
    ],
)
def test_unsupported_specs_name_the_slot(specs: dict[str, ConvSpec], problem: str) -> None:
    with pytest.raises(SpecError, match=re.escape(problem)):
        redesign(Tangle(), specs)


BASIS = ConvSpec(binary_basis=4)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "few batch norms": Tangle,
    "untraced": Branching,
    "batch norms": lambda: SmallCnn(width=8, in_channels=3),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "spec",
    [
        BASIS,
        ConvSpec(binary_basis=4, scale=False),
        ConvSpec(binary_basis=4, scale=True),
        ConvSpec(binary_basis=3, kernel_shape="full", separable=True),
        ConvSpec(groups="all", channel_stride=0.5, binary_basis=2),
        preset("depthwise", channel_stride=1),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_the_cost_of_each_module_equals_that_of_its_slot(
    network: str, spec: ConvSpec, training: bool
) -> None:
    model = NETWORKS[network]().train(training)
    found = slots(model, torch.zeros(IMAGES))
    small = redesign(model, {slot.name: spec for slot in found})
    for slot in found:
        conv = small.get_submodule(slot.name)
        assert isinstance(conv, DsxConv)
        assert slot.cost(spec) == slot.cost_of(conv), slot.name
        assert conv.spec == slot.canonical(spec), slot.name


def test_a_scale_before_a_batch_norm_is_omitted() -> None:
    small = redesign(Tangle(), {"parts.0": BASIS, "twice": BASIS})
    scales = [part.scale is not None for part in small.modules() if isinstance(part, BinaryConv2d)]
    assert scales == [True, False]
    # The original weights may have any magnitude.
    small = redesign(Tangle(), {"parts.0": BASIS}, keep_weights=True)
    part = small.get_submodule("parts.0")
    assert isinstance(part, BinaryConv2d)
    assert part.scale is not None
    assert part.spec.scale is True


@pytest.mark.parametrize("keep_weights", [False, True])
@pytest.mark.parametrize("scale", [False, True])
def test_a_specified_scale_is_kept(scale: bool, keep_weights: bool) -> None:
    spec = ConvSpec(binary_basis=4, scale=scale)
    small = redesign(Tangle(), {"parts.0": spec, "twice": spec}, keep_weights)
    for name in ("parts.0", "twice"):
        part = small.get_submodule(name)
        assert isinstance(part, BinaryConv2d)
        assert (part.scale is not None) is scale


def test_the_network_is_traced_only_for_an_undefined_scale() -> None:
    traced = []

    class Watched(Tangle):
        def forward(self, x: Tensor) -> Tensor:
            traced.append(1)
            return super().forward(x)

    for spec in (CROSS, ConvSpec(binary_basis=4, scale=True), preset("lhc")):
        redesign(Watched(), {"twice": spec})
    redesign(Watched(), {"twice": BASIS}, keep_weights=True)
    assert not traced
    redesign(Watched(), {"twice": BASIS})
    assert traced


def test_the_same_scale_may_be_specified_in_two_ways() -> None:
    scaled = ConvSpec(binary_basis=4, scale=True)
    same = redesign(Tangle(), {"twice": BASIS, "alias": scaled})
    assert same.get_submodule("twice") is same.get_submodule("alias")
    with pytest.raises(SpecError, match="alias: is the same convolution as twice"):
        redesign(Tangle(), {"twice": BASIS, "alias": ConvSpec(binary_basis=4, scale=False)})


def test_an_unknown_slot_has_a_near_match() -> None:
    with pytest.raises(SpecError, match=r"Did you mean 'twice'\?$"):
        redesign(Tangle(), {"twise": CROSS})


def test_a_network_that_cannot_be_copied_is_rejected() -> None:
    with pytest.raises(DsxError, match="the network cannot be copied: Only Tensors created"):
        redesign(Uncopyable(), {"conv": CROSS})


@pytest.mark.parametrize(
    ("network", "slot", "reason"),
    [
        (networks.Hooked(), "conv", "has hooks, which a redesign would lose"),
        (networks.Tied(), "twin", "shares weights with another module"),
        (networks.OldNorm(), "conv", "its weight is computed from other tensors"),
    ],
)
def test_convolutions_that_cannot_be_replaced_have_a_reason(
    network: nn.Module, slot: str, reason: str
) -> None:
    with pytest.raises(SpecError, match=f"^{slot}: {reason}$"):
        redesign(network, {slot: CROSS})
    redesign(network, {slot: ConvSpec(kernel_shape="keep"), "mix": ConvSpec(binary_basis=2)})


def test_a_network_with_uninitialised_lazy_weights_is_rejected() -> None:
    network = networks.Lazy()
    with pytest.raises(DsxError, match="uninitialised lazy weights"):
        redesign(network, {"conv2": CROSS})
    network(torch.zeros(2, 1, 8, 8))
    assert isinstance(redesign(network, {"conv2": CROSS}).get_submodule("conv2"), DsxConv)


def test_hooks_of_other_modules_are_kept() -> None:
    network = Tangle()
    network.register_forward_hook(networks.double)
    small = redesign(network, {"twice": ConvSpec(kernel_shape="keep")})
    assert torch.equal(run(small), run(network))
    assert list(small._forward_hooks) == list(network._forward_hooks)
