"""Networks to be redesigned: one with every kind of slot, and some that dsx rejects."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import random as chance
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.data import Data, open_data


class Tangle(nn.Module):
    """Network with all geometries, nested containers, and a convolution with two names and calls.

    Maps (B, 3, 12, 12) to (B, 5).
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.ModuleDict({"in": nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"))})
        self.twice = nn.Conv2d(8, 8, 3, padding=1)
        self.alias = self.twice
        self.parts = nn.ModuleList([nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8)])
        self.grouped = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4)
        self.dilated = nn.Conv2d(12, 8, 3, padding=2, dilation=2, padding_mode="reflect")
        self.oblong = nn.Conv2d(8, 6, (1, 5), padding=(0, 2), bias=False)
        self.even = nn.Conv2d(6, 6, 2, padding="valid")
        self.unused = nn.Conv2d(6, 6, 3)
        self.up = nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2)
        self.line = nn.Conv1d(4, 6, 3, groups=2)
        self.volume = nn.Conv3d(1, 2, (3, 1, 1), bias=False)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 3))
        self.head = nn.Linear(2, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem["in"](x)
        x = self.alias(torch.relu(self.twice(x)))
        x = torch.relu(self.parts[1](self.parts[0](x)))
        x = self.even(self.oblong(self.dilated(self.grouped(x))))
        x = self.line(self.up(x).flatten(2))
        x = self.volume(x[:, :, :36].reshape(-1, 1, 6, 6, 6)).flatten(2)
        x = self.normed(x[:, :, :36].reshape(-1, 2, 6, 6))
        out: Tensor = self.head(input=x.mean((2, 3)))
        return out


TANGLE_SLOTS = ["stem.in.0", "twice", "parts.0", "grouped", "dilated", "oblong", "even"]
"""Slots of `Tangle` in the order of their first call."""


class Tiny(nn.Module):
    """Two convolutions for digits, of which the first is pointwise."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.mix = nn.Conv2d(1, width, 1)
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.features(x).mean((2, 3)))
        return out

    def features(self, x: Tensor) -> Tensor:
        """Map (B, 1, H, W) to (B, width, H, W)."""
        out: Tensor = torch.relu(self.conv(torch.relu(self.mix(x))))
        return out


class LeNet(nn.Sequential):
    """Two convolutions and two linear layers without batch norm, for digits."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
        )


class Plain(nn.Sequential):
    """Three convolutions without batch norm, and a global mean, for digits."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)),
        )


class Branching(nn.Module):
    """Network that torch.fx cannot trace, since its control flow depends on the data.

    Maps (B, 3, H, W) to (B, 5).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        out: Tensor = self.head((x if x.sum() > 0 else -x).mean((2, 3)))
        return out


class Frames(nn.Module):
    """Network that folds the rows of an image into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, (1, 3))
        self.linear = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, 1, 1, 8)
        out: Tensor = self.linear(self.conv(rows).mean((2, 3))).reshape(-1, 8, 10).mean(1)
        return out


class NoSlots(nn.Module):
    """A network without a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x.flatten(1))
        return out


class Functional(nn.Module):
    """Convolution that is not computed by a module."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 1, 3, 3))
        self.conv = nn.Conv2d(4, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.conv2d(x, self.weight)).mean((2, 3))
        return out


class Strange(Tiny):
    """Network with an operator that no counter supports."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.fft.fft(super().forward(x)).real
        return out


class Raises(Tiny):
    """Network whose forward raises an exception."""

    def forward(self, x: Tensor) -> Tensor:
        raise LookupError("first line\n  second line")


class WrongInput(Tiny):
    """Network for images with more channels."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.cat([x, x], 1))


class TwoOutputs(Tiny):
    """Network that returns two tensors."""

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        return out, out  # type: ignore[return-value]


class Uncopyable(Tiny):
    """Network that holds a tensor that is not a leaf of the autograd graph."""

    def __init__(self) -> None:
        super().__init__()
        self.doubled = self.head.weight * 2


def half_normed() -> nn.Module:
    """Build two convolutions for digits, the first of which has a batch norm."""
    convs = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 10, 6)
    return nn.Sequential(convs[0], nn.BatchNorm2d(2), convs[1], nn.Flatten())


def no_module() -> str:
    """Return an object that is not a network."""
    return "a network"


def not_buildable() -> nn.Module:
    """Raise an exception."""
    raise KeyError("no\nsuch thing")


NUMBER = 3


class Tied(Tiny):
    """Two convolutions that share one weight, and one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.twin = nn.Conv2d(4, 4, 3, padding=1)
        self.twin.weight = self.conv.weight

    def features(self, x: Tensor) -> Tensor:
        return torch.relu(self.twin(super().features(x)))


class Hooked(Tiny):
    """One convolution with a hook, and one whose weight is read by code of the network."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Conv2d(4, 4, 1)
        self.conv.register_forward_hook(double)

    def features(self, x: Tensor) -> Tensor:
        out: Tensor = self.read(super().features(x)) * self.read.weight.mean()
        return out


def double(module: nn.Module, given: object, output: Tensor) -> Tensor:
    """Double the output of a module, as a hook."""
    return 2 * output


class OldNorm(Tiny):
    """Convolution whose weight is computed by a hook in each forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.utils.spectral_norm(self.conv)


class Listed(nn.Module):
    """Convolution in a plain list, where torch does not find it."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = [nn.Conv2d(1, 4, 3, padding=1)]
        self.seen = nn.ModuleList([nn.Conv2d(4, 10, 3)])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.seen[0](self.plain[0](x)).mean((2, 3))
        return out


class Lazy(nn.Module):
    """Network with lazy weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.LazyConv2d(8, 3, padding=1, bias=False)
        self.norm = nn.LazyBatchNorm2d()
        self.conv2 = nn.LazyConv2d(8, 3)
        self.head = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv1(x)))
        out: Tensor = self.head(torch.relu(self.conv2(x)).mean((2, 3)))
        return out


@dataclass
class Outputs:
    """Output object with logits."""

    logits: Tensor
    hidden: Tensor


class Wrapped(Tiny):
    """Network that returns its logits in an object."""

    def forward(self, x: Tensor) -> Tensor:
        return Outputs(logits=super().forward(x), hidden=x)  # type: ignore[return-value]


class Squeezing(Tiny):
    """Network that removes the batch dimension for a single image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze()


class Batched(Tiny):
    """Network that raises an exception for a single image."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 1:
            raise ValueError("Expected more than 1 value per channel")
        return super().forward(x)


class TwoInputs(Tiny):
    """Network that requires two inputs."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x * mask)


def half_precision() -> nn.Module:
    """Build a network in bfloat16."""
    return Tiny().bfloat16()


def random() -> nn.Module:
    """Build a network with dropout."""
    return nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten(), nn.Dropout())


class Skipper(Tiny):
    """Network that bypasses any module that is not an nn.Conv2d."""

    def features(self, x: Tensor) -> Tensor:
        for layer in (self.mix, self.conv):
            if isinstance(layer, nn.Conv2d):
                x = torch.relu(layer(x))
        return x


class Late(nn.Module):
    """Network that creates its head in its first forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc: nn.Linear | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).mean((2, 3))
        if self.fc is None:
            self.fc = nn.Linear(4, 10)
        out: Tensor = self.fc(x)
        return out


class ListedHead(nn.Module):
    """Linear layer in a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.heads = [nn.Linear(4, 10)]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.heads[0](self.conv(x).mean((2, 3)))
        return out


class OneByOne(Tiny):
    """Network that processes the images of a batch one by one."""

    def features(self, x: Tensor) -> Tensor:
        return torch.cat([super(OneByOne, self).features(part) for part in torch.split(x, 1)])


class Encoder(nn.Module):
    """Convolution and transformer encoder layer of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 1)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.layer(self.conv(x).flatten(2).mT)
        out: Tensor = self.head(tokens.mean(1))
        return out


def doubled(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Replacement of a forward, which doubles the output."""
    out: Tensor = 2 * F.conv2d(x, conv.weight, conv.bias, padding=1)
    return out


class Patched(Tiny):
    """Convolution with a replaced forward, and one with a backward hook."""

    def __init__(self) -> None:
        super().__init__()
        self.conv.forward = MethodType(doubled, self.conv)  # type: ignore[method-assign]
        self.mix.register_full_backward_pre_hook(lambda module, gradient: None)


class Autocast(Tiny):
    """Network that computes in bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x)


class Bracketed(nn.Module):
    """Network with module names that contain special characters of a shell."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({"[3x3]": nn.Conv2d(1, 4, 3), "a*b?": nn.Conv2d(4, 4, 3)})
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.parts["a*b?"](self.parts["[3x3]"](x))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class Auxiliary(Tiny):
    """Network with a second output in train mode."""

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        return (out, out) if self.training else out  # type: ignore[return-value]


class Reading(Tiny):
    """Network that reads a weight and has data-dependent control flow."""

    def features(self, x: Tensor) -> Tensor:
        if x.sum() > 1e9:
            return x
        return super().features(x.to(self.conv.weight.dtype))


class Shuffling(Tiny):
    """Network that shuffles channels by the groups of a convolution, as ShuffleNet does."""

    def features(self, x: Tensor) -> Tensor:
        assert not self.conv.transposed and not any(self.conv.output_padding)
        x = super().features(x)
        apart = x.reshape(len(x), self.conv.groups, -1, *x.shape[2:])
        return apart.transpose(1, 2).flatten(1, 2)


class Loud(Tiny):
    """A network that prints."""

    def forward(self, x: Tensor) -> Tensor:
        print("a forward pass")
        return super().forward(x)


class Drawing(Tiny):
    """Network that draws random numbers of Python in train mode."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (chance() if self.training else 1)


def frozen() -> nn.Module:
    """Build a network without trainable weights."""
    return Tiny().requires_grad_(False)


def exits() -> nn.Module:
    """Exit from Python, as scripts that parse a command line may do."""
    raise SystemExit(2)


def changes_its_argument(widths: list[int]) -> nn.Module:
    """Build a network, and empty the list that is its argument."""
    return Tiny(widths.pop())


ONE = Wrapped()


def the_same() -> nn.Module:
    """Return the same network in each call."""
    return ONE


class Widths(nn.Module):
    """Network with numbers of one type in all of its modules, as computed by width schedules.

    Args:
        number: Type of the numbers.
    """

    def __init__(self, number: Callable[[int], int] = np.int64) -> None:  # type: ignore[assignment]
        super().__init__()
        one, eight, three = number(1), number(8), number(3)
        self.first = nn.Conv2d(one, eight, three, padding=one, padding_mode="reflect")
        sides = (three, three)
        self.grouped = nn.Conv2d(eight, eight, sides, one, sides, three, groups=number(4))
        self.depthwise = nn.Conv2d(eight, eight, three, padding="same", groups=eight)
        self.norm = nn.BatchNorm2d(eight)
        self.head = nn.Linear(eight, number(10))
        self.pool = number(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.depthwise(torch.relu(self.grouped(torch.relu(self.first(x))))))
        out: Tensor = self.head(F.max_pool2d(x, self.pool).mean((2, 3)))
        return out


def plain_widths() -> nn.Module:
    """Build the same network with Python numbers."""
    return Widths(int)


def numpy_data() -> Data:
    """Return the digits, described with numpy numbers."""
    digits = open_data("digits", {})
    return Data(
        load=digits.load,
        image_shape=np.array(digits.image_shape),  # type: ignore[arg-type]
        classes=np.int64(digits.classes),  # type: ignore[arg-type]
    )


class ReturnsNothing(Tiny):
    """Network whose overridden methods return None and whose batch norm is never in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def features(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(super().features(x))
        return out

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        """Set the mode of all modules except the batch norm."""
        super().train(mode)
        self.norm.eval()

    def eval(self) -> None:  # type: ignore[override]
        """Set the mode."""
        super().eval()

    def to(self, *args: Any, **named: Any) -> None:  # type: ignore[override]
        """Move the tensors."""
        super().to(*args, **named)

    def requires_grad_(self, requires_grad: bool = True) -> None:  # type: ignore[override]
        """Set whether weights have gradients."""
        super().requires_grad_(requires_grad)


class ReturnsNothingUntraced(ReturnsNothing):
    """Variant that torch.fx cannot trace, so that it is deployed without a trace."""

    def features(self, x: Tensor) -> Tensor:
        return super().features(x if x.sum() > -1e9 else -x)


def applied(module: nn.Module, x: Tensor) -> Tensor:
    """Call a module."""
    out: Tensor = module(x)
    return out


class KeepsFunction(nn.Module):
    """Network that holds a function that refers to the network.

    Args:
        way: Kind of the function.
    """

    def __init__(self, way: str) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 10)
        steps: dict[str, Any] = {
            "lambda": lambda x: self.conv(x),
            "default": lambda x, conv=self.conv: conv(x),
            "partial": partial(applied, self.conv),
            "inner": lambda x: (lambda y: self.conv(y))(x),
            "method": self.convolved,
            "deep": {"r": [(lambda x: self.conv(x),)]},
        }
        self.steps = [steps[way]]

    def convolved(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        step = self.steps[0]["r"][0][0] if isinstance(self.steps[0], dict) else self.steps[0]
        out: Tensor = self.head(step(x).mean((2, 3)))
        return out


class CallsForward(nn.Module):
    """Network that calls the forward of one convolution, and uses the weight of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        self.third, self.unused = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(self.first.forward(x), self.second.weight)
        out: Tensor = self.head(self.third(x).mean((2, 3)))
        return out


class ComputesWithWeights(nn.Module):
    """Network that uses weights of convolutions without calling them."""

    def __init__(self) -> None:
        super().__init__()
        self.halved, self.masked, self.read = (nn.Conv2d(1, 1, 3) for _ in range(3))
        self.own = nn.Parameter(torch.ones(1, 1, 3, 3))
        self.mask: Tensor
        self.register_buffer("mask", torch.eye(3))
        self.head = nn.Linear(1, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.halved.weight * 0.5)
        x = F.conv2d(x, self.masked.weight * self.mask * torch.ones(3))
        # Control flow that torch.fx cannot trace.
        x = x if x.sum() > 0 else -x
        x = F.conv2d(x, self.own, padding=1) * self.read.weight.mean()
        out: Tensor = self.head(self.read(x).mean((2, 3)))
        return out


class SecondReference(nn.Module):
    """Network that calls a convolution by an attribute that torch does not search for modules.

    Args:
        way: Kind of the attribute.
    """

    def __init__(self, way: str) -> None:
        super().__init__()
        self.first, self.conv = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 10)
        ways: dict[str, Any] = {
            "dict": {"c": [self.conv]},
            "partial": partial(applied, self.conv),
            "object": Caller(self.conv),
        }
        self.held = ways[way]

    def forward(self, x: Tensor) -> Tensor:
        call = self.held["c"][0] if isinstance(self.held, dict) else self.held
        out: Tensor = self.head(call(self.first(x)).mean((2, 3)))
        return out


def second_reference() -> nn.Module:
    """Build a network that also holds a convolution in a plain dict."""
    return SecondReference("dict")


class Caller:
    """Object that calls a module and is not a module itself."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, x: Tensor) -> Tensor:
        out: Tensor = self.module(x)
        return out
