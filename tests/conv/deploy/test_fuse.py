"""Fusion changes which operations the kernel computes, and not what the network computes."""

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dsx.conv import ConvSpec, Deployed, build, deploy
from dsx.conv.deploy import EAGER, Choice, Runner
from dsx.conv.deploy._fuse import WithResidual
from dsx.conv.native import kernels
from dsx.conv.native.module import BlockSparseConv2d
from dsx.conv.timing import Run
from dsx.errors import Unsupported

if isinstance(found := kernels(), Unsupported):
    pytest.skip(found.reason, allow_module_level=True)

SLIDING = ConvSpec(kernel_shape="point", groups=2, channel_stride=0.5)
CORNERS = ConvSpec(kernel_shape="corners")


def redesigned(spec: ConvSpec, *arguments: Any, **options: Any) -> nn.Module:
    return build(spec, nn.Conv2d(*arguments, **options))


class Kernel:
    """A timer for which block-sparse forms are the fastest, fused or not as wanted.

    Attributes:
        fusions: Fused and staged forms that were timed, each with its input.
    """

    def __init__(self, fused: bool = True) -> None:
        self.fused = fused
        self.fusions: list[tuple[WithResidual, Tensor]] = []

    def __call__(self, runs: Sequence[Run], seconds: float) -> list[float]:
        return [self._rank(run) for run in runs]

    def _rank(self, run: Run) -> float:
        run()
        assert isinstance(run, functools.partial)
        form = run.func
        if isinstance(form, WithResidual):
            self.fusions.append((form, *run.args))
            return 1.0 if (form.conv.depthwise is not None) == self.fused else 2.0
        if isinstance(form, BlockSparseConv2d):
            return 1.0
        return 2.0 if isinstance(form, nn.Conv2d) and form.groups > 1 else 3.0


def deployed(network: nn.Module, x: Tensor, fused: bool = True, **options: Any) -> Deployed:
    network = network.double().eval()
    found = deploy(network, x, timer=Kernel(fused), native=True, **options)
    with torch.no_grad():
        for other in (x, torch.randn_like(x), x[:1]):
            torch.testing.assert_close(found(other), network(other), rtol=1e-10, atol=1e-10)
    return found


def convolutions(network: Deployed) -> list[BlockSparseConv2d]:
    return [part for part in network.modules() if isinstance(part, BlockSparseConv2d)]


def calls(network: Deployed) -> int:
    assert isinstance(network.network, fx.GraphModule)
    return sum(node.op.startswith("call_") for node in network.network.graph.nodes)


def image(channels: int = 8) -> Tensor:
    return torch.randn(2, channels, 9, 7, dtype=torch.float64)


class Sequence2(nn.Module):
    """A convolution and a function of its output."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], spec: ConvSpec) -> None:
        super().__init__()
        self.conv = redesigned(spec, 8, 8, 3, padding=1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.conv(x), x)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (F.relu, "relu"),
        (torch.relu, "relu"),
        (F.relu6, "relu6"),
        (F.hardswish, "hardswish"),
        (lambda y: F.relu(y, inplace=True), "relu"),
        (lambda y: y.relu(), "relu"),
        (lambda y: y.relu_(), "relu"),
    ],
)
def test_functions_are_fused(function: Callable[[Tensor], Tensor], name: str) -> None:
    network = deployed(Sequence2(lambda y, x: function(y), CORNERS), image())
    (conv,) = convolutions(network)
    assert (conv.activation, calls(network)) == (name, 1)


@pytest.mark.parametrize(
    ("module", "name"),
    [(nn.ReLU(inplace=True), "relu"), (nn.ReLU6(), "relu6"), (nn.Hardswish(), "hardswish")],
)
def test_modules_are_fused(module: nn.Module, name: str) -> None:
    network = deployed(nn.Sequential(redesigned(CORNERS, 8, 8, 3), module), image())
    (conv,) = convolutions(network)
    assert (conv.activation, calls(network)) == (name, 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda y, x: y + x,
        lambda y, x: x + y,
        lambda y, x: torch.add(y, x),
        lambda y, x: y.add(x),
        lambda y, x: y.add_(x),
    ],
)
@pytest.mark.parametrize("activation", ["none", "relu"])
def test_residual_additions_are_fused(
    function: Callable[[Tensor, Tensor], Tensor], activation: str
) -> None:
    def whole(y: Tensor, x: Tensor) -> Tensor:
        return F.relu(function(y, x)) if activation == "relu" else function(y, x)

    network = deployed(Sequence2(whole, CORNERS), image())
    (conv,) = convolutions(network)
    assert (conv.activation, calls(network)) == (activation, 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda y, x: y + y.mean((2, 3), keepdim=True),  # two users of the convolution
        lambda y, x: y + x.mean((2, 3), keepdim=True),  # another shape
        lambda y, x: y + 1.0,
        lambda y, x: torch.add(y, x, alpha=2),
        lambda y, x: torch.sigmoid(y),
        lambda y, x: F.relu(y) + y,
    ],
)
def test_other_operations_are_kept(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    network = deployed(Sequence2(function, CORNERS), image())
    (conv,) = convolutions(network)
    assert conv.activation == "none"
    assert calls(network) > 1


class Late(nn.Module):
    """A residual addition whose other term is computed after the convolution."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.first = redesigned(CORNERS, 8, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 1)
        self.in_place = in_place

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(x)
        y = self.first(x)
        if self.in_place:
            x = x.mul_(2)
        return torch.relu(y + self.second(x))


@pytest.mark.parametrize("in_place", [False, True])
def test_an_addition_is_fused_unless_its_input_changes_in_between(in_place: bool) -> None:
    network = deployed(Late(in_place), image())
    assert [conv.activation for conv in convolutions(network)] == ["none" if in_place else "relu"]


class CalledTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = redesigned(CORNERS, 8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(torch.relu(self.conv(x)))
        return out


def test_a_convolution_that_is_called_twice_keeps_its_function() -> None:
    (conv,) = convolutions(deployed(CalledTwice(), image()))
    assert conv.activation == "none"


def separable(
    between: nn.Module, spec: ConvSpec = SLIDING, stride: int = 1, kernel: int = 3
) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(8, 8, kernel, stride, padding=1, groups=8, bias=False),
        nn.BatchNorm2d(8),
        between,
        redesigned(spec, 8, 12, 1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(
    ("between", "name"),
    [(nn.ReLU(), "relu"), (nn.ReLU6(), "relu6"), (nn.Hardswish(), "hardswish"),
     (nn.Identity(), "none")],
)  # fmt: skip
def test_a_depthwise_convolution_is_fused(
    between: nn.Module, name: str, kernel: int, stride: int
) -> None:
    network = deployed(separable(between, stride=stride, kernel=kernel), image())
    (conv,) = convolutions(network)
    assert conv.depthwise is not None
    assert (conv.depthwise_activation, conv.activation, calls(network)) == (name, "relu", 1)


def test_a_depthwise_convolution_is_kept_where_it_is_faster() -> None:
    cache: dict[str, Choice] = {}
    for _ in range(2):  # the second time from the cache
        network = deployed(separable(nn.ReLU()), image(), fused=False, form_cache=cache)
        (conv,) = convolutions(network)
        assert conv.depthwise is None
        assert calls(network) == 3
    assert [choice.form for choice in cache.values()].count("staged") == 1


class Block(nn.Module):
    """A separable convolution whose kernel also adds the input."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = redesigned(SLIDING, 8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(x)
        out: Tensor = self.pointwise(torch.relu(self.depthwise(x))) + x
        return out


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_fusion_is_timed_with_images_like_those_of_the_network(layout: torch.memory_format) -> None:
    timer = Kernel()
    sample = image().contiguous(memory_format=layout)
    network = Block().double().eval().to(memory_format=layout)  # type: ignore[call-overload]
    (conv,) = convolutions(deploy(network, sample, timer=timer, native=True))
    assert conv.depthwise is not None and len(timer.fusions) == 4  # screening and final
    for form, x in timer.fusions:
        for tensor in (x, form.residual):
            assert tensor is not None
            assert (tensor.shape, tensor.dtype) == (sample.shape, sample.dtype)
            assert tensor.stride() == sample.stride()
            assert 0.8 < float(tensor.std()) < 1.2
    # Both compute the same.
    (one, x), (other, _) = timer.fusions[:2]
    torch.testing.assert_close(one(x), other(x), rtol=1e-10, atol=1e-10)


def test_fusion_is_timed_by_the_software_that_runs_the_network() -> None:
    prepared: list[nn.Module] = []

    def prepare(forms: Sequence[nn.Module], sample: Tensor) -> Sequence[Run | None]:
        prepared.extend(forms)
        return EAGER.prepare(forms, sample)

    cache: dict[str, Choice] = {}
    for name in ("one", "other"):
        deployed(Block(), image(), form_cache=cache, runner=Runner(name=name, prepare=prepare))
    assert sum(isinstance(form, WithResidual) for form in prepared) == 4
    assert [choice.form for choice in cache.values()].count("fused") == 2


def test_an_activation_with_other_users_is_not_fused() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
            self.pointwise = redesigned(SLIDING, 8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = torch.relu(self.depthwise(x))
            out: Tensor = self.pointwise(y) * y
            return out

    (conv,) = convolutions(deployed(Branch(), image()))
    assert conv.depthwise is None


def test_a_copy_of_a_fused_network_is_independent() -> None:
    network = deployed(separable(nn.ReLU()), image())
    other = copy.deepcopy(network)
    x = image()
    with torch.no_grad():
        before = network(x)
        for conv in convolutions(other):
            conv.weights.zero_()
        assert torch.equal(network(x), before)
        assert not torch.equal(other(x), before)


class InPlace(nn.Module):
    """Operations in place whose result is used through the tensor that they change."""

    def __init__(self, run: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.first = redesigned(CORNERS, 8, 8, 3, padding=1)
        self.second = redesigned(CORNERS, 8, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = redesigned(SLIDING, 8, 8, 1)
        self.relu = nn.ReLU(inplace=True)
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, torch.sigmoid(x) - 0.5)


def discarded_method(net: Any, x: Tensor) -> Tensor:
    y = net.first(x)
    y.relu_()
    out: Tensor = net.second(y)
    return out


def discarded_module(net: Any, x: Tensor) -> Tensor:
    y = net.first(x)
    net.relu(y)
    out: Tensor = net.second(y)
    return out


def discarded_sum(net: Any, x: Tensor) -> Tensor:
    x.add_(net.first(x))
    out: Tensor = net.second(x)
    return out


def sum_in_the_input(net: Any, x: Tensor) -> Tensor:
    return x.add_(net.first(x)) * x


def changed_after_the_depthwise(net: Any, x: Tensor) -> Tensor:
    y = net.depthwise(x)
    x.relu_()
    out: Tensor = net.pointwise(y) * x
    return out


@pytest.mark.parametrize(
    "run",
    [discarded_method, discarded_module, discarded_sum, sum_in_the_input,
     changed_after_the_depthwise],
)  # fmt: skip
def test_operations_in_place_keep_their_effect(run: Callable[[Any, Tensor], Tensor]) -> None:
    deployed(InPlace(run), image())


class Broadcast(nn.Module):
    """A residual addition of two shapes that are equal for one image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = redesigned(CORNERS, 8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x.mean(0, keepdim=True)) + x)


def test_a_residual_may_be_broadcast_for_other_batches() -> None:
    network = Broadcast().double().eval()
    found = deploy(network, image()[:1], timer=Kernel(), native=True)
    (conv,) = convolutions(found)
    assert conv.activation == "relu"
    with torch.no_grad():
        for x in (image(), image()[:1]):
            torch.testing.assert_close(found(x), network(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("place", [0, 2, 3, 5])
def test_modules_with_hooks_are_kept(place: int) -> None:
    network = separable(nn.ReLU()).double().eval()
    module = network[place]  # type: ignore[index]
    module.register_forward_hook(lambda module, args, out: 2 * out)
    found = deploy(network, image(), timer=Kernel(), native=True)
    x = image()
    with torch.no_grad():
        torch.testing.assert_close(found(x), network(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [11, 13])
def test_kernels_beyond_the_limits_are_left_to_torch(size: int) -> None:
    network = nn.Sequential(redesigned(CORNERS, 8, 8, size, padding=size // 2))
    assert len(convolutions(deployed(network, image()))) == (size == 11)


def test_a_network_that_changes_its_input_is_run_on_copies() -> None:
    class Scaling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = redesigned(CORNERS, 8, 8, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = torch.relu(self.conv(x.mul_(2)))
            return out

    portable, native = image(), image()
    native.copy_(portable)
    for x, is_native in ((portable, False), (native, True)):
        deploy(Scaling().double().eval(), x, timer=Kernel(), native=is_native)
    torch.testing.assert_close(native, portable)
