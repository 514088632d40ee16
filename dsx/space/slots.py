"""The slots of a network: its 2-d convolutions, and what all else costs."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dsx.conv import KEEP, ConvSpec, Cost, DsxConv, spec_cost, standing_spec
from dsx.conv.cost import REAL_BITS
from dsx.conv.geometry import Geometry
from dsx.conv.norms import normed
from dsx.errors import DsxError
from dsx.space.source import one_line

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_COUNTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED, DsxConv)
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
        normed: Whether a BN directly and only follows it.
    """

    name: str
    geometry: Geometry
    groups: int
    bias: bool
    out_hw: tuple[tuple[int, int], ...]
    normed: bool = False

    @property
    def in_channels(self) -> int:
        """Cin."""
        return self.geometry.in_channels

    @property
    def out_channels(self) -> int:
        """Cout."""
        return self.geometry.out_channels

    @property
    def stride(self) -> tuple[int, int]:
        """Rows and columns from one output to the next."""
        return self.geometry.stride

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        return self.geometry.kernel_size

    def canonical(self, spec: ConvSpec) -> ConvSpec:
        """Give the canonical form of a spec here, with a word on the scale of a binary basis.

        Args:
            spec: The dials.

        Returns:
            `spec.at(slot)`; where it leaves the scale open, there is one unless a BN follows.

        Raises:
            SpecError: If these dials cannot be set on this slot; says why.
        """
        return spec.at(self).scaled(not self.normed)

    def cost(self, spec: ConvSpec = KEEP) -> Cost:
        """Count what a spec costs here.

        Args:
            spec: The dials.

        Returns:
            Params and bits once, flops over all calls.

        Raises:
            SpecError: If these dials cannot be set on this slot; says why.
        """
        at = self.canonical(spec)
        at = standing_spec(self) if at.keeps else at
        return self._over_calls(lambda out_hw: spec_cost(at, self.geometry, self.bias, out_hw))

    def cost_of(self, conv: DsxConv) -> Cost:
        """Count what a built convolution costs here, as it is now: params and bits once."""
        return self._over_calls(conv.cost)

    def _over_calls(self, cost: Callable[[tuple[int, int]], Cost]) -> Cost:
        each = [cost(out_hw) for out_hw in self.out_hw]
        return dataclasses.replace(each[0], flops=sum(one.flops for one in each))


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
            specs: Spec by slot name; slots left out stay as they are.

        Returns:
            The whole network's cost.

        Raises:
            SpecError: If a spec cannot be set on its slot; says why.
        """
        total = self.rest
        for slot in self.slots:
            total += slot.cost(specs.get(slot.name, KEEP))
        return total

    def cost_of(self, network: nn.Module) -> Cost:
        """Count what a redesign of the network costs, learned shapes as they are now.

        Args:
            network: The redesigned network.

        Returns:
            Its cost.
        """
        total = self.rest
        for slot in self.slots:
            conv = network.get_submodule(slot.name)
            total += slot.cost_of(conv) if isinstance(conv, DsxConv) else slot.cost()
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
        DsxError: If the network cannot be copied, does not run on the sample, or does not return
            a tensor.
    """
    network = copied(model).eval()
    followed = normed(network)
    inner = {part for conv in _redesigned(network) for part in conv.modules() if part is not conv}
    calls: dict[nn.Module, list[_Call]] = {}

    def note(
        module: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor
    ) -> None:
        into = (*given, *named.values())[0]
        calls.setdefault(module, []).append((into.shape, output.shape))

    for module in network.modules():
        if isinstance(module, _COUNTED) and module not in inner:
            module.register_forward_hook(note, with_kwargs=True)
    output = _run(network, sample)
    names = {module: name for name, module in network.named_modules()}
    batch = len(sample)
    found = [
        _slot(names[m], m, own, batch, m in followed)
        for m, own in calls.items()
        if type(m) is nn.Conv2d
    ]
    rest = _held(network, found)
    flops = sum(_flops(m, own, batch) for m, own in calls.items() if type(m) is not nn.Conv2d)
    return Census(
        slots=tuple(found),
        rest=dataclasses.replace(rest, flops=flops),
        input_shape=tuple(sample.shape[1:]),
        output_shape=tuple(output.shape[1:]),
    )


def copied(model: nn.Module) -> nn.Module:
    """Copy a network.

    Args:
        model: Any network.

    Returns:
        The copy.

    Raises:
        DsxError: If it holds what cannot be copied.
    """
    try:
        return copy.deepcopy(model)
    # Whatever the user's network holds says by itself why it cannot be copied.
    except Exception as error:
        raise DsxError(f"the network cannot be copied: {one_line(error)}") from error


def _run(network: nn.Module, sample: Tensor) -> Tensor:
    try:
        with torch.no_grad():
            output = network(sample)
    # The user's own code, on an input of the data's shape: whatever it raises is about these.
    except Exception as error:
        shape = " x ".join(str(side) for side in sample.shape)
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise DsxError(f"the network does not run on an input of {shape}: {reason}") from error
    if not isinstance(output, Tensor):
        raise DsxError(f"the network returns a {type(output).__name__}, not one tensor")
    return output


def _slot(name: str, conv: nn.Conv2d, calls: list[_Call], batch: int, followed: bool) -> Slot:
    out_hw: list[tuple[int, int]] = []
    for _, out in calls:
        # A network may fold parts of an image into the batch.
        images = out[:-3].numel() // batch
        out_hw += [(out[-2], out[-1])] * max(images, 1)
    return Slot(
        name=name,
        geometry=Geometry.of(conv),
        groups=conv.groups,
        bias=conv.bias is not None,
        out_hw=tuple(out_hw),
        normed=followed,
    )


def _flops(module: nn.Module, calls: list[_Call], batch: int) -> int:
    """Multiply-adds of one image in a counted module that is not a slot."""
    if isinstance(module, DsxConv):
        return (
            sum(module.cost((out[-2], out[-1])).flops * out[:-3].numel() for _, out in calls)
            // batch
        )
    weight = module.weight
    assert isinstance(weight, Tensor)
    # Each weight meets every output pixel once; in a transposed convolution every input pixel.
    if isinstance(module, _TRANSPOSED):
        pixels = sum(into.numel() for into, _ in calls) // module.in_channels
    else:
        pixels = sum(out.numel() for _, out in calls) // weight.shape[0]
    return weight.numel() * pixels // batch


def _redesigned(network: nn.Module) -> list[DsxConv]:
    """List the dsx convolutions that are not a part of another one."""
    convs = [module for module in network.modules() if isinstance(module, DsxConv)]
    inner = {part for conv in convs for part in conv.modules() if part is not conv}
    return [conv for conv in convs if conv not in inner]


def _held(network: nn.Module, found: list[Slot]) -> Cost:
    """Count the params and bits of all but the slots."""
    convs = _redesigned(network)
    own = [conv.cost((1, 1)) for conv in convs]
    plain = _numbers(network) - sum(map(_numbers, convs)) - sum(s.cost().params for s in found)
    return Cost(
        params=plain + sum(cost.params for cost in own),
        flops=0,
        bits=REAL_BITS * plain + sum(cost.bits for cost in own),
    )


def _numbers(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
