"""Batch norms are folded according to their computation, not to the types of modules."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dsx.conv import deploy
from dsx.conv.deploy._fold import normalise
from dsx.conv.graph.functional import as_modules
from dsx.conv.graph.norms import convs_before_norms
from dsx.conv.graph.tracing import follow, torch_type, trace
from tests.conv import outside
from tests.conv.outside import CONVS, NORMS, randomise

X = torch.randn(2, 4, 7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

AFFINE = "frozen", "formula", "layer scale"


def counts(network: nn.Module) -> tuple[int, int]:
    """Deploy, check the outputs, and return the numbers of folded and unfolded batch norms."""
    with torch.no_grad():
        expected = network(X)
    assert expected.isfinite().all() and expected.flatten(2).std(-1).min() > 1e-6
    deployed = deploy(network, X)
    torch.testing.assert_close(deployed(X), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(deployed(-X), network(-X).detach(), rtol=1e-10, atol=1e-10)
    return deployed.folded, deployed.unfolded


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("conv", CONVS)
def test_every_pair_is_folded(conv: str, norm: str) -> None:
    network = randomise(nn.Sequential(CONVS[conv](4, 6, 3), NORMS[norm](6)))
    # Frozen batch norms and layer scales are traced as factors and summands.
    assert counts(network) == (0 if norm in AFFINE else 1, 0)
    deployed = deploy(network, X).network
    assert isinstance(deployed, fx.GraphModule)
    assert not any(node.name.startswith(("mul", "add")) for node in deployed.graph.nodes)


@pytest.mark.parametrize("norm", NORMS)
def test_batch_norms_that_follow_no_convolution_are_counted(norm: str) -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Sigmoid(), NORMS[norm](6))
    assert counts(randomise(network)) == (0, 0 if norm in AFFINE else 1)


def test_calls_without_effect_in_between_do_not_matter() -> None:
    class Idle(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(F.dropout2d(x, 0.5, self.training), training=self.training)

    between = (nn.Identity(), nn.Dropout(), nn.Dropout3d(), Idle())
    network = nn.Sequential(nn.Conv2d(4, 6, 3), *between, outside.NormAct(6))
    assert counts(randomise(network)) == (1, 0)
    deployed = deploy(network, X).network
    assert isinstance(deployed, fx.GraphModule)
    operations = [node.op for node in deployed.graph.nodes]
    assert operations == ["placeholder", "call_module", "call_function", "output"]


class Chained(nn.Module):
    """A convolution, followed by a chain of constants with uses of intermediate results."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv, self.kind = nn.Conv2d(4, 6, 3), kind
        self.gain = nn.Parameter(torch.linspace(1, 2, 6)[:, None, None])
        self.shift = nn.Parameter(torch.linspace(-1, 1, 6).view(1, 6, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        scaled: Tensor = y if self.kind == "numbers" else y * self.gain
        out: dict[str, Callable[[], Tensor]] = {
            "numbers": lambda: (y * 2 + 1) / 4,
            "reversed": lambda: 3 - scaled,
            "zero": lambda: scaled / 0.0,
            "between": lambda: scaled / 2 + scaled.mean(),
            "sizes": lambda: torch.divide(scaled.sub(self.shift), self.gain).reshape(
                *scaled.size()
            ),
            "chain": lambda: ((scaled - self.shift) * self.gain / 2 + self.shift) * 3,
        }
        return out[self.kind]()


@pytest.mark.parametrize(
    ("kind", "left"),
    [("chain", 0), ("sizes", 0), ("numbers", 3), ("reversed", 1), ("between", 2), ("zero", 1)],
)
def test_constants_per_channel_are_folded_up_to_another_use(kind: str, left: int) -> None:
    network = Chained(kind).double().eval()
    deployed = deploy(network, X)
    torch.testing.assert_close(
        deployed(X), network(X).detach(), rtol=1e-10, atol=1e-10, equal_nan=True
    )
    assert isinstance(deployed.network, fx.GraphModule)
    steps = ("mul", "add", "sub", "rsub", "truediv", "divide")
    names = [node.name.rstrip("_0123456789") for node in deployed.network.graph.nodes]
    assert sum(name.removeprefix("_0_") in steps for name in names) == left


class Concatenated(nn.Module):
    """Two convolutions, concatenated along one dimension, before a batch norm."""

    def __init__(self, norm: str, dim: int, again: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 2, 3), outside.SamePadding(4, 4, 4)
        self.dim, self.norm, self.again = dim, NORMS[norm](6 if dim == 1 else 4), again

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.first(x), self.second(x)]
        if self.dim == 2:
            parts = [torch.cat(parts, 1)[:, :4]] * 2
        out: Tensor = self.norm(torch.cat(parts, dim=self.dim))
        return out + parts[0].mean() if self.again else out


@pytest.mark.parametrize("norm", ["nn.BatchNorm2d", "norm and activation", "plain subclass"])
def test_a_batch_norm_behind_concatenated_convolutions_is_folded_if_it_is_the_only_user(
    norm: str,
) -> None:
    assert counts(randomise(Concatenated(norm, 1))) == (1, 0)
    assert counts(randomise(Concatenated(norm, 1, again=True))) == (0, 1)
    assert counts(randomise(Concatenated(norm, 2))) == (0, 1)


class Twice(nn.Module):
    """A network that uses a convolution, its result or its weight twice."""

    def __init__(self, kind: str, norm: str) -> None:
        super().__init__()
        self.conv, self.norm, self.kind = nn.Conv2d(4, 4, 1), NORMS[norm](4), kind

    def forward(self, x: Tensor) -> Tensor:
        once = self.conv(x)
        if self.kind == "result":
            out: Tensor = self.norm(once) + once
        elif self.kind == "called":
            out = self.norm(self.conv(torch.sigmoid(once)))
        elif self.kind == "weight":
            out = self.norm(once) + F.conv2d(x, self.conv.weight)
        return out


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["result", "called", "weight"])
def test_convolutions_that_are_used_twice_are_not_folded(kind: str, norm: str) -> None:
    folded, _ = counts(randomise(Twice(kind, norm)))
    assert folded == 0


class Changing(nn.Module):
    """A network whose statistics are not constant."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv, self.kind = nn.Conv2d(4, 4, 1), kind
        self.mean = nn.Parameter(torch.zeros(4), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = self.mean
        variance = torch.ones_like(mean)
        if self.kind == "counted":
            mean.add_(1)
        elif self.kind == "random":
            mean = mean + torch.randn_like(mean)
        elif self.kind == "from the image":
            mean = x.mean((0, 2, 3))
        return F.batch_norm(self.conv(x), mean, variance)


@pytest.mark.parametrize("kind", ["counted", "random", "from the image"])
def test_only_constants_are_folded(kind: str) -> None:
    deployed = deploy(Changing(kind).double(), X)
    assert (deployed.folded, deployed.unfolded) == (0, 1)


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, outside.NormAct])
def test_statistics_of_the_batch_are_not_folded(kind: type[nn.BatchNorm2d]) -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3), kind(6, track_running_stats=False))
    assert counts(network.double().eval()) == (0, 1)


def test_a_forward_overridden_on_the_instance_prevents_folding() -> None:
    assert counts(randomise(nn.Sequential(outside.patched(4, 6, 3), nn.BatchNorm2d(6)))) == (0, 1)


def test_one_dimension_and_three() -> None:
    pairs = nn.Sequential(
        nn.Flatten(2), nn.Conv1d(4, 3, 3), nn.BatchNorm1d(3), nn.ConvTranspose1d(3, 4, 2),
        nn.BatchNorm1d(4), nn.Unflatten(2, (1, 1, 41)), nn.Conv3d(4, 4, 1), nn.BatchNorm3d(4),
    )  # fmt: skip
    assert counts(randomise(pairs)) == (3, 0)


@pytest.mark.parametrize("bias", [False, True])
def test_transposed_convolutions_in_groups(bias: bool) -> None:
    convs = [nn.ConvTranspose2d(4, 6, 2, groups=2, bias=bias), nn.BatchNorm2d(6)]
    assert counts(randomise(nn.Sequential(*convs))) == (1, 0)
    row = [nn.Flatten(2), nn.ConvTranspose1d(4, 4, 3, groups=4, bias=bias), nn.BatchNorm1d(4)]
    assert counts(randomise(nn.Sequential(*row))) == (1, 0)


def test_a_functional_grouped_convolution_has_deployed_forms() -> None:
    deployed = deploy(nn.Sequential(outside.SamePadding(4, 4, 3, groups=4)).double(), X)
    assert list(deployed.choices) == ["0.conv2d"]


@pytest.mark.parametrize("norm", NORMS)
def test_a_functional_batch_norm_makes_a_scale_irrelevant(norm: str) -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3), NORMS[norm](6), nn.Conv2d(6, 4, 1))
    state = list(network.state_dict())
    assert convs_before_norms(network, follow(network, X.float())) == (
        set() if norm in AFFINE else {network[0]}
    )
    assert list(network.state_dict()) == state


def test_the_network_is_unchanged() -> None:
    network = nn.Sequential(CONVS["same padding"](4, 6, 3), outside.NormAct(6))
    randomise(network)
    before = copy.deepcopy(network.state_dict())
    deploy(network, X)
    assert [type(part) for part in network] == [outside.SamePadding, outside.NormAct]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Conv2d(1, 1, 1), None),
        (outside.PlainConv(1, 1, 1), nn.Conv2d),
        (type("Same", (nn.BatchNorm2d,), {})(1), nn.BatchNorm2d),
        (outside.Plain(1), None),
        (outside.ByProperty(1, 1, 1), None),
        (outside.Overridden(1, 1, 1), None),
        (outside.SamePadding(1, 1, 1), None),
        (type("Block", (nn.Sequential,), {})(nn.ReLU()), None),
        (type("Pool", (nn.MaxPool2d,), {"helper": lambda self: 1})(2), nn.MaxPool2d),
        (outside.Statistics(1), None),
    ],
)
def test_a_subclass_with_the_same_computation_is_recognised(
    module: nn.Module, expected: object
) -> None:
    assert torch_type(module) is expected


def test_new_modules_have_unused_names() -> None:
    norm = outside.NormAct(4)
    norm.add_module("batchnorm2d", nn.Identity())
    network = randomise(nn.Sequential(nn.Conv2d(4, 4, 1), norm))
    graph = trace(network)
    assert isinstance(graph, fx.Graph)
    as_modules(network, graph)
    assert isinstance(network.get_submodule("1.batchnorm2d_"), nn.BatchNorm2d)


class Calling(nn.Module):
    """A network that uses a few modules and tensors in one of several ways."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv2d, self.other = nn.Conv2d(4, 6, 3), nn.Conv2d(4, 6, 3)
        self.norm = nn.BatchNorm2d(12 if kind == "the same twice" else 6)
        self.register_buffer("kernel", torch.randn(1, 1, 3, 3))
        self.register_buffer("mask", torch.arange(6).reshape(6, 1, 1) > 2)
        self.scale = nn.Parameter(torch.rand(1, 6, 1, 1))
        self.shift = nn.Parameter(torch.rand(1, 6, 1, 1))
        self.kernel: Tensor
        self.mask: Tensor
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2d(x)
        if self.kind == "in place":
            return F.rrelu(out, inplace=True)
        if self.kind == "computed in advance":
            return F.conv2d(out, self.kernel.repeat(6, 6, 1, 1))
        if self.kind == "the same twice":
            return self.norm(torch.cat([out, out], 1))  # type: ignore[no-any-return]
        if self.kind == "mask":
            return out * self.mask + out
        if self.kind == "shape between":
            out = out * self.scale
            batch = out.shape[0]
            return (out + self.shift).reshape(batch, -1, 4, 5)
        if self.kind == "dilated":
            return out[..., 1:-1, 1:-1] + F.conv2d(x, self.conv2d.weight, dilation=2)
        return out


@pytest.mark.parametrize(
    "kind",
    ["in place", "computed in advance", "the same twice", "mask", "shape between", "dilated"],
)
def test_the_output_is_unchanged(kind: str) -> None:
    torch.manual_seed(0)
    # The batch norm behind a convolution that is used twice is not folded.
    assert counts(randomise(Calling(kind))) == (0, 1 if kind == "the same twice" else 0)


class Mode(nn.Module):
    """A network with a batch norm or a dropout that remains in train mode."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 3, 1)
        self.last = nn.BatchNorm2d(6) if kind == "norm" else nn.Dropout(1.0)

    def train(self, mode: bool = True) -> Mode:
        super().train(mode)
        self.last.train()
        return self

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.cat([self.one(x), self.two(x)], 1))
        return out


@pytest.mark.parametrize("kind", ["norm", "dropout"])
def test_a_module_in_train_mode_is_neither_folded_nor_dropped(kind: str) -> None:
    network = Mode(kind).double().eval()
    graph = trace(nn.Sequential(network))
    assert isinstance(graph, fx.Graph)
    holder = nn.Sequential(network)
    normalise(holder, graph, set())
    assert any(str(node.target) == "0.last" for node in graph.nodes)


def test_a_hook_can_read_attributes_of_the_class_of_its_module() -> None:
    assert counts(nn.Sequential(outside.HookedByClass(4, 6, 3)).double().eval()) == (0, 0)


def test_a_weight_used_by_several_calls_is_one_parameter() -> None:
    class Dilations(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 4, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            one = F.conv2d(x, self.weight, padding=1)
            return one + F.conv2d(x, self.weight, padding=2, dilation=2)

    deployed = deploy(Dilations().double(), X)
    assert len(list(deployed.parameters())) == 1


def test_a_weight_can_be_a_buffer() -> None:
    conv = nn.Conv2d(4, 6, 3, bias=False)
    weight = conv.weight.detach()
    del conv.weight
    conv.register_buffer("weight", weight)
    assert counts(randomise(nn.Sequential(conv, outside.Frozen(6)))) == (0, 0)
    assert counts(randomise(nn.Sequential(copy.deepcopy(conv), nn.BatchNorm2d(6)))) == (1, 0)
