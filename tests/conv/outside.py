"""Layers of third-party style, with the computation of torch.nn implemented differently."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal, weight_norm


def randomise(network: nn.Module) -> nn.Module:
    """Randomise all tensors of the batch norms, so that an error in folding changes the output."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(getattr(module, "running_var", None), Tensor):
            for name in ("running_mean", "weight", "bias"):
                tensor = getattr(module, name, None)
                if tensor is not None:
                    nn.init.normal_(tensor.data, generator=generator)
            nn.init.uniform_(module.running_var, 0.5, 2, generator=generator)  # type: ignore[arg-type]
    return network.double().eval()


class NormAct(nn.BatchNorm2d):
    """A batch norm with an activation, as in timm."""

    def forward(self, x: Tensor) -> Tensor:
        training = self.training or (self.running_mean is None and self.running_var is None)
        mean = self.running_mean if not self.training or self.track_running_stats else None
        x = F.batch_norm(x, mean, self.running_var, self.weight, self.bias, training, 0.1, self.eps)
        return F.silu(x)


class Checked(NormAct):
    """A layer that asserts the number of dimensions and reads the size of its input."""

    def forward(self, x: Tensor) -> Tensor:
        check = f"expected four dimensions, not {x.ndim}"
        torch._assert(x.ndim == 4, check)  # type: ignore[no-untyped-call]
        return super().forward(x).reshape(x.shape[0], x.shape[1], x.size(2), -1)


class Inherited(nn.BatchNorm2d):
    """A batch norm with an activation after the inherited computation."""

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(super().forward(input))


class Guarded(NormAct):
    """A layer that branches on the rank, the channels and the size of its input."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != self.num_features:
            raise ValueError("expected images")
        assert isinstance(x.size(-1), int) and len(x.shape) == x.ndim
        dims = tuple(range(2, x.dim()))
        return super().forward(x).flatten(2).view(x.shape[:2] + tuple(x.size(d) for d in dims))


class Formula(nn.BatchNorm2d):
    """A batch norm written as its formula."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None
        per_channel = (1, -1, 1, 1)
        deviation = torch.sqrt(self.running_var.view(per_channel) + self.eps)
        normal = (input - self.running_mean.view(per_channel)) / deviation
        return 2 * (normal * self.weight.view(per_channel) + self.bias.view(per_channel)) - 0.5


class Builtin(nn.BatchNorm2d):
    """A batch norm that calls the operator of torch."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.batch_norm(
            x, self.weight, self.bias, self.running_mean, self.running_var,
            self.training, 0.1, self.eps, False,
        )  # fmt: skip
        return out


class Plain(nn.BatchNorm2d):
    """Adds nothing to what it inherits."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3)

    def _check_input_dim(self, input: Tensor) -> None:
        pass


class Statistics(nn.Module):
    """A batch norm without a factor that does not derive from a class of torch."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, eps=1e-2)


class Frozen(nn.Module):
    """A batch norm as factor and summand, as in the detection networks of torchvision."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale = (self.weight * (self.running_var + 1e-5).rsqrt()).reshape(1, -1, 1, 1)
        return x * scale + (
            self.bias.reshape(1, -1, 1, 1) - self.running_mean.view(1, -1, 1, 1) * scale
        )


class LayerScale(nn.Module):
    """A factor per channel, on the left-hand side of the product."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.linspace(0.5, 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.gamma.unsqueeze(-1).unsqueeze(-1) * x
        return out


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "nn.BatchNorm2d": nn.BatchNorm2d,
    "nn.SyncBatchNorm": nn.SyncBatchNorm,
    "norm and activation": NormAct,
    "checked": Checked,
    "inherited computation and activation": Inherited,
    "guarded": Guarded,
    "formula": Formula,
    "torch.batch_norm": Builtin,
    "plain subclass": Plain,
    "buffers": Statistics,
    "frozen": Frozen,
    "layer scale": LayerScale,
}


class SamePadding(nn.Conv2d):
    """A convolution that pads as TensorFlow does, and calls F.conv2d."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 1, 0, 1))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class PlainConv(nn.Conv2d):
    """Adds nothing to what it inherits."""


class Standardised(nn.Conv2d):
    """A convolution that standardises its weight in each call."""

    def forward(self, x: Tensor) -> Tensor:
        weight = F.batch_norm(
            self.weight.reshape(1, self.out_channels, -1), None, None, training=True
        ).reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias, padding=self.padding)


class Overridden(nn.Conv2d):
    """A convolution that overrides the computation behind the inherited forward."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        out: Tensor = super()._conv_forward(input, weight * 2, bias)
        return out


def patched(*arguments: int) -> nn.Module:
    """Return a convolution whose forward is overridden on the instance."""
    conv = nn.Conv2d(*arguments)  # type: ignore[arg-type]
    conv.forward = lambda x: F.conv2d(x, conv.weight, conv.bias) * 2  # type: ignore[method-assign, assignment]
    return conv


def patched_inside(*arguments: int) -> nn.Module:
    """Return a convolution with another method that is overridden on the instance."""
    conv = nn.Conv2d(*arguments)  # type: ignore[arg-type]
    original = conv._conv_forward
    conv._conv_forward = lambda x, weight, bias: original(x, weight * 2, bias)  # type: ignore[method-assign, assignment]
    return conv


CONVS: dict[str, Callable[..., nn.Module]] = {
    "nn.Conv2d": nn.Conv2d,
    "grouped": lambda a, b, k: nn.Conv2d(a, b, k, groups=2),
    "transposed": nn.ConvTranspose2d,
    "same padding": SamePadding,
    "plain subclass": PlainConv,
    "strided same padding": lambda a, b, k: SamePadding(a, b, k, stride=2, groups=2, bias=False),
    "standardised": Standardised,
    "overridden": Overridden,
    "patched inside": patched_inside,
}


class ByProperty(nn.Conv2d):
    """A convolution whose weight is a property."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel)
        self.raw = self._parameters.pop("weight")

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The weight with zero mean."""
        assert self.raw is not None
        out: Tensor = self.raw - self.raw.mean((1, 2, 3), keepdim=True)
        return out


class AnyDimensions(nn.modules.batchnorm._BatchNorm):
    """A batch norm for inputs of any number of dimensions."""

    def _check_input_dim(self, input: Tensor) -> None:
        return


class HookedByClass(nn.Conv2d):
    """A convolution whose hook reads an attribute of its class."""

    gain = 2.0

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel)
        self.register_forward_hook(lambda module, given, out: out * module.gain)


NORMS["any dimensions"] = AnyDimensions
CONVS["by property"] = ByProperty
CONVS["weight norm"] = lambda a, b, k: weight_norm(nn.Conv2d(a, b, k, groups=2))
CONVS["orthogonal"] = lambda a, b, k: orthogonal(nn.Conv2d(a, b, k))
