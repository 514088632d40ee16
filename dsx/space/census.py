"""Census: the slots of a network, what it has beside them, and what all of it costs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from dsx.conv import KEEP, ConvSpec, Cost, DsxConv
from dsx.conv.cost import REAL_BITS
from dsx.conv.geometry import Geometry
from dsx.conv.network_calls import set_mode
from dsx.conv.norms import normed, untraced
from dsx.errors import DsxError
from dsx.space.calls import TRANSPOSED, Call, Calls, watch
from dsx.space.left_alone import left_alone
from dsx.space.network import copied
from dsx.space.slots import Slot


@dataclass(frozen=True, kw_only=True)
class Census:
    """What a network is made of.

    Args:
        slots: In the order of the first call.
        left_alone: Why each other convolution is no slot, by name.
        rest: Cost of everything else: other convolutions, linear layers, BN.
        input_shape: Of one image: channels, rows, columns.
        output_shape: Of the network, for a batch of one.
        wrapped: Whether the network returns an object that holds its logits.
        untraced: Why torch.fx cannot follow the network; None where it can.
    """

    slots: tuple[Slot, ...]
    left_alone: Mapping[str, str]
    rest: Cost
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    wrapped: bool = False
    untraced: str | None = None

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


def census(model: nn.Module, sample: Tensor, kept: bool = False) -> Census:
    """Run a network once and note what is called with which output size.

    Args:
        model: Any network; it is copied, and left as it is.
        sample: An input batch.
        kept: Whether a redesign shall keep the weights, so that a binary basis needs a scale.

    Returns:
        The census.

    Raises:
        DsxError: If the network cannot be copied, does not run on the sample, or does not return
            a tensor.
    """
    if not len(sample):
        raise DsxError("the sample holds no image")
    network = set_mode(copied(model), False)
    scaleless = set() if kept else normed(network)
    seen = watch(network, sample)
    alone = left_alone(network, seen)
    names = {module: name for name, module in network.named_modules()}
    batch = len(sample)
    found = {
        module: _slot(names[module], module, calls, batch, module not in scaleless)
        for module, calls in seen.modules.items()
        if type(module) is nn.Conv2d and names[module] not in alone
    }
    return Census(
        slots=tuple(found.values()),
        left_alone=alone,
        rest=_rest(network, seen, found, batch),
        input_shape=tuple(sample.shape[1:]),
        output_shape=tuple(seen.output.shape[1:]),
        wrapped=seen.wrapped,
        untraced=untraced(network),
    )


def _slot(name: str, conv: nn.Conv2d, calls: list[Call], batch: int, scaled: bool) -> Slot:
    # A network may fold parts of an image into the batch, or go through the batch in parts.
    images: Counter[tuple[int, int]] = Counter()
    for _, out in calls:
        images[out[-2], out[-1]] += out[:-3].numel()
    out_hw = [size for size, number in images.items() for _ in range(max(1, number // batch))]
    return Slot(
        name=name,
        geometry=Geometry.of(conv),
        groups=conv.groups,
        bias=conv.bias is not None,
        out_hw=tuple(out_hw),
        scaled=scaled,
    )


def _rest(network: nn.Module, seen: Calls, found: Mapping[nn.Conv2d, Slot], batch: int) -> Cost:
    """Count all but the slots."""
    convs = _redesigned(network)
    own = [conv.cost((1, 1)) for conv in convs]
    plain = (
        _numbers(network)
        - sum(map(_numbers, convs))
        - sum(slot.cost().params for slot in found.values())
    )
    modules = seen.modules.items()
    flops = sum(_flops(module, calls, batch) for module, calls in modules if module not in found)
    return Cost(
        params=plain + sum(cost.params for cost in own),
        flops=flops + seen.outside // batch,
        bits=REAL_BITS * plain + sum(cost.bits for cost in own),
    )


def _flops(module: nn.Module, calls: list[Call], batch: int) -> int:
    """Multiply-adds of one image in a counted module that is not a slot."""
    if isinstance(module, DsxConv):
        return (
            sum(module.cost((out[-2], out[-1])).flops * out[:-3].numel() for _, out in calls)
            // batch
        )
    weight = module.weight
    assert isinstance(weight, Tensor)
    # Each weight meets every output pixel once; in a transposed convolution every input pixel.
    if isinstance(module, TRANSPOSED):
        pixels = sum(into.numel() for into, _ in calls) // module.in_channels
    else:
        pixels = sum(out.numel() for _, out in calls) // weight.shape[0]
    return weight.numel() * pixels // batch


def _redesigned(network: nn.Module) -> list[DsxConv]:
    """List the dsx convolutions that are not a part of another one."""
    convs = [module for module in network.modules() if isinstance(module, DsxConv)]
    inner = {part for conv in convs for part in conv.modules() if part is not conv}
    return [conv for conv in convs if conv not in inner]


def _numbers(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
