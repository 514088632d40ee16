"""Small float64 networks with structures that are difficult to deploy."""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, build

CROSS = ConvSpec(kernel_shape="cross")
CORNERS = ConvSpec(kernel_shape="corners")
SLIDING = ConvSpec(kernel_shape="point", groups=2, channel_stride=0.5)
BLOCK = ConvSpec(groups=2, channel_stride=1.0)
HET = ConvSpec(kernel_shape="het2")
SEPARABLE = ConvSpec(groups=2, channel_stride=0.5, separable=True)
BINARY = ConvSpec(binary_basis=3, splits=2)
BINARY_SLIDING = ConvSpec(
    kernel_shape="cross", groups=2, channel_stride=0.5, binary_basis=2, scale=True
)
LEARNED = ConvSpec(kernel_shape="learned", block_in=3, block_out=3)
RIGID = ConvSpec(kernel_shape="learned", rigid=True, block_in=8, block_out=2)


def redesigned(spec: ConvSpec, *arguments: int, **options: int) -> nn.Module:
    """Build a dsx convolution from the arguments of nn.Conv2d."""
    return build(spec, nn.Conv2d(*arguments, **options))  # type: ignore[arg-type]


def ready(network: nn.Module) -> nn.Module:
    """Randomise the BNs of a network, and return it in float64 and in train mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            assert module.running_var is not None
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return network.double().train()


class Block(nn.Module):
    """A residual block with two dsx convolutions, dropout, and BNs that can be folded."""

    def __init__(self, spec: ConvSpec) -> None:
        super().__init__()
        self.conv1 = redesigned(spec, 8, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.conv2 = redesigned(CORNERS, 8, 8, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(8, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(self.drop(input=out)))
        return torch.relu(out + x)


class Residual(nn.Module):
    """A residual network with a stem of nn.Conv2d, two blocks and a head."""

    def __init__(self, spec: ConvSpec) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.block1 = Block(spec)
        self.block2 = Block(SEPARABLE)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.block2(self.block1(self.stem(x))))
        return out


class Shared(nn.Module):
    """A network with a convolution and a BN called twice, and a convolution with two names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.twice = redesigned(CROSS, 8, 8, 3, padding=1)
        self.again = self.twice
        self.bn_after_twice = nn.BatchNorm2d(8)
        self.one = redesigned(CORNERS, 8, 8, 3, padding=1)
        self.other = redesigned(SLIDING, 8, 8, 3, padding=1)
        self.bn_of_both = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(self.again(torch.relu(self.bn_after_twice(self.twice(x)))))
        out: Tensor = torch.relu(self.bn_of_both(self.one(x))) + self.bn_of_both(self.other(x))
        return out


class Forked(nn.Module):
    """A network with a BN behind a convolution that has another consumer, and a stateless BN."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = redesigned(CROSS, 3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.last = redesigned(BLOCK, 8, 8, 3)
        self.now = nn.BatchNorm2d(8, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return torch.relu(self.now(self.last(self.bn(x) + x)))


class Untraceable(nn.Module):
    """A network with control flow that depends on the values of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = redesigned(SLIDING, 3 + 1, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.unused = redesigned(CROSS, 8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, x[:, :1]], 1)
        if x.sum() > 0:
            x = -x
        out: Tensor = self.bn(self.conv(x))
        return out


class PadsItself(nn.Module):
    """A network that computes its padding from the image size and attributes of its convolutions.

    Args:
        spec: Spec of the convolutions.
        by_values: Whether its control flow also depends on the values of the image.
    """

    def __init__(self, spec: ConvSpec, by_values: bool) -> None:
        super().__init__()
        self.by_values = by_values
        self.conv = redesigned(spec, 4, 8, 3, stride=2)
        self.plain = redesigned(spec, 8, 8, 5, dilation=2)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, x[:, :1]], 1)
        if self.by_values and x.sum() == 0:
            return x
        for conv in (self.conv, self.plain, self.depthwise):
            assert conv.padding == (0, 0) and conv.padding_mode == "zeros"
            assert x.shape[1] == conv.in_channels
            step, reach, kernel = (
                cast(tuple[int, int], getattr(conv, name))[0]
                for name in ("stride", "dilation", "kernel_size")
            )
            ends = []
            for side in x.shape[:1:-1]:
                more = max((-(-side // step) - 1) * step + (kernel - 1) * reach + 1 - side, 0)
                ends += [more // 2, more - more // 2]
            if sum(ends) > 0:
                x = nn.functional.pad(x, ends)
            x = conv(x)
            assert x.shape[1] == conv.out_channels
        return x


class ReadsAttributes(nn.Module):
    """A network that reads attributes and the weight of the convolutions it calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = redesigned(SLIDING, 4, 8, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.tied = redesigned(CORNERS, 8, 8, 3, padding=1)
        self.tied_bn = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, x[:, :1]], 1)
        if self.conv.stride == (2, 2):
            x = nn.functional.pad(x, (1, 1, 1, 1))
        out = self.tied_bn(self.tied(self.bn(self.conv(x.to(self.bn.bias.dtype)))))
        # The weight contributes to the output, so that folding must not change it.
        weight = cast(Tensor, self.tied.weight)
        total: Tensor = out + weight.sum()
        return total


class Hooked(nn.Module):
    """A network of convolutions with a hook on the output, and with a parametrized weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = redesigned(ConvSpec(groups=3, channel_stride=1.0), 3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.plain = nn.Conv2d(8, 8, 3)
        self.plain_bn = nn.BatchNorm2d(8)
        self.normed = redesigned(CROSS, 8, 8, 3, padding=1)
        self.normed_bn = nn.BatchNorm2d(8)
        for module in (self.conv, self.plain):
            module.register_forward_hook(lambda module, inputs, out: torch.relu(out))
        nn.utils.parametrizations.weight_norm(self.normed)

    def forward(self, x: Tensor) -> Tensor:
        x = self.plain_bn(self.plain(self.bn(self.conv(x))))
        out: Tensor = self.normed_bn(self.normed(x))
        return out


class WithFlag(nn.Module):
    """A network with an optional flag, a constant tensor, and a call with a keyword argument."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = redesigned(CORNERS, 3, 8, 3)

    def forward(self, x: Tensor, features: bool = False) -> Tensor:
        out: Tensor = self.conv(input=x)
        if features:
            return x
        return out * torch.tensor([2.0])


class Tied(nn.Module):
    """A network of two convolutions that share a weight, each followed by a BN."""

    def __init__(self) -> None:
        super().__init__()
        self.one = redesigned(CROSS, 8, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.two = copy.deepcopy(self.one)
        self.two.weight = self.one.weight
        self.bn2 = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, x, x[:, :2]], 1)
        out: Tensor = self.bn2(self.two(self.bn1(self.one(x))))
        return out
