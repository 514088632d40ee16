"""The slots of a network: its 2-d convolutions, and what all else costs."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dsx.conv import KEEP, ConvSpec, Cost, spec_cost, standing_spec
from dsx.conv.cost import REAL_BITS
from dsx.conv.geometry import Geometry
from dsx.errors import DsxError

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_COUNTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)
_Call = tuple[torch.Size, torch.Size]


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A nn.Conv2d of a network that may be redesigned.

    Args:
        name: Dotted module name.
        geometry: Channels, kernel, stride, padding and dilation.
        groups: Of the convolution that stands there.
        bias: Whether it has one.
        out_hw: Rows and columns of its output, for each time it is called in one forward pass.
    """

    name: str
    geometry: Geometry
    groups: int
    bias: bool
    out_hw: tuple[tuple[int, int], ...]

    @property
    def in_channels(self) -> int:
        """Cin."""
        return self.geometry.in_channels

    @property
    def out_channels(self) -> int:
        """Cout."""
        return self.geometry.out_channels

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        return self.geometry.kernel_size

    def cost(self, spec: ConvSpec = KEEP) -> Cost:
        """Count what a spec costs here.

        Args:
            spec: Canonical for this slot.

        Returns:
            Params and bits once, flops over all calls.
        """
        spec = standing_spec(self) if spec.keeps else spec
        each = [spec_cost(spec, self.geometry, self.bias, out_hw) for out_hw in self.out_hw]
        return Cost(
            params=each[0].params, bits=each[0].bits, flops=sum(cost.flops for cost in each)
        )


@dataclass(frozen=True, kw_only=True)
class Census:
    """What a network is made of.

    Args:
        slots: In the order of the first call.
        rest: Cost of everything else: other convolutions, linear layers, BN.
        input_shape: Of one image: channels, rows, columns.
        output_shape: Of the network, for a batch of one.
    """

    slots: tuple[Slot, ...]
    rest: Cost
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    def cost(self, specs: Mapping[str, ConvSpec]) -> Cost:
        """Count what a design costs, by closed form.

        Args:
            specs: Canonical spec by slot name; slots left out stay as they are.

        Returns:
            The whole network's cost.
        """
        total = self.rest
        for slot in self.slots:
            total += slot.cost(specs.get(slot.name, KEEP))
        return total


def slots(model: nn.Module, sample: Tensor) -> list[Slot]:
    """List the convolutions of a network that may be redesigned.

    Args:
        model: Any network; it is left as it is.
        sample: An input batch.

    Returns:
        Its nn.Conv2d in the order of their first call.

    Raises:
        DsxError: If the network does not run on the sample.
    """
    return list(census(model, sample).slots)


def census(model: nn.Module, sample: Tensor) -> Census:
    """Run a network once and note what is called with which output size.

    Args:
        model: Any network; it is copied, and left as it is.
        sample: An input batch.

    Returns:
        The census.

    Raises:
        DsxError: If the network does not run on the sample, or does not return a tensor.
    """
    network = copy.deepcopy(model).eval()
    calls: dict[nn.Module, list[_Call]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls.setdefault(module, []).append((inputs[0].shape, output.shape))

    for module in network.modules():
        if isinstance(module, _COUNTED):
            module.register_forward_hook(note)
    try:
        with torch.no_grad():
            output = network(sample)
    except (RuntimeError, TypeError, ValueError) as error:
        shape = " x ".join(str(side) for side in sample.shape)
        raise DsxError(f"the network does not run on an input of {shape}: {error}") from error
    if not isinstance(output, Tensor):
        raise DsxError(f"the network returns a {type(output).__name__}, not one tensor")
    names = {module: name for name, module in reversed(list(network.named_modules()))}
    found = [_slot(names[m], m, own) for m, own in calls.items() if type(m) is nn.Conv2d]
    params = sum(p.numel() for p in network.parameters()) - sum(s.cost().params for s in found)
    flops = sum(_flops(m, own) for m, own in calls.items() if type(m) is not nn.Conv2d)
    return Census(
        slots=tuple(found),
        rest=Cost(params=params, flops=flops, bits=REAL_BITS * params),
        input_shape=tuple(sample.shape[1:]),
        output_shape=tuple(output.shape[1:]),
    )


def _slot(name: str, conv: nn.Conv2d, calls: list[_Call]) -> Slot:
    return Slot(
        name=name,
        geometry=Geometry.of(conv),
        groups=conv.groups,
        bias=conv.bias is not None,
        out_hw=tuple((out[-2], out[-1]) for _, out in calls),
    )


def _flops(module: nn.Module, calls: list[_Call]) -> int:
    """Multiply-adds of one image in a counted module that is not a slot."""
    weights = module.get_parameter("weight").numel()
    if isinstance(module, nn.Linear):
        return sum(weights * out[1:-1].numel() for _, out in calls)
    # Each weight meets every output pixel once; in a transposed convolution every input pixel.
    transposed = isinstance(module, _TRANSPOSED)
    return sum(weights * (into if transposed else out)[2:].numel() for into, out in calls)
