"""Census: the slots of a network, what it has beside them, and what all of it costs."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dsx.conv import KEEP, REAL_BITS, ConvSpec, Cost, DsxConv, set_mode
from dsx.conv.graph import follow, normed
from dsx.conv.sparsity import Geometry
from dsx.errors import DsxError
from dsx.space.network.calls import Calls, watch
from dsx.space.network.exclusions import excluded
from dsx.space.network.network import copied
from dsx.space.network.slots import Slot

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class NetworkAnalysis:
    """What a network is made of.

    Args:
        slots: In the order of the first call.
        left_alone: Why each other convolution is no slot, by name.
        rest: Cost of everything else: other convolutions, linear layers, BN; flops by operator.
        input_shape: Of one image: channels, rows, columns.
        output_shape: Of the network, for a batch of one.
        wrapped: Whether the network returns an object that holds its logits.
        uncounted: Operators of the network that are neither counted nor known to do no
            multiply-adds: name to how many times; `flops` leave them out.
        untraced: Why torch.fx cannot follow the network; None where it can.
    """

    slots: tuple[Slot, ...]
    excluded: Mapping[str, str]
    rest: Cost
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    wrapped: bool = False
    uncounted: Mapping[str, int] = field(default_factory=dict)
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
    return list(analysis(model, sample).slots)


def analysis(model: nn.Module, sample: Tensor, kept: bool = False) -> NetworkAnalysis:
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
    seen = watch(network, sample)
    traced = follow(network, sample)
    alone, problem = excluded(network, traced, seen), traced.unsupported
    scaleless = set() if kept else normed(network, traced)
    names = {module: name for name, module in network.named_modules()}
    batch = len(sample)
    found = {
        module: _slot(names[module], module, calls, batch, module not in scaleless)
        for module, calls in seen.modules.items()
        if type(module) is nn.Conv2d and names[module] not in alone
    }
    return NetworkAnalysis(
        slots=tuple(found.values()),
        excluded=alone,
        rest=_rest(network, _flops(network, sample, seen, found), found),
        input_shape=tuple(sample.shape[1:]),
        output_shape=tuple(seen.output.shape[1:]),
        wrapped=seen.wrapped,
        uncounted=seen.uncounted,
        untraced=None if problem is None else problem.reason,
    )


def _slot(name: str, conv: nn.Conv2d, calls: list[torch.Size], batch: int, scaled: bool) -> Slot:
    # A network may fold parts of an image into the batch, or go through the batch in parts.
    images: Counter[tuple[int, int]] = Counter()
    for out in calls:
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


def _rest(network: nn.Module, flops: int, found: Mapping[nn.Conv2d, Slot]) -> Cost:
    """Count all but the slots, given the multiply-adds of their operators."""
    convs = _redesigned(network)
    own = [conv.cost((1, 1)) for conv in convs]
    plain = (
        _numbers(network)
        - sum(map(_numbers, convs))
        - sum(slot.cost().params for slot in found.values())
    )
    return Cost(
        params=plain + sum(cost.params for cost in own),
        flops=flops,
        bits=REAL_BITS * plain + sum(cost.bits for cost in own),
    )


def _flops(network: nn.Module, sample: Tensor, seen: Calls, found: Mapping[nn.Conv2d, Slot]) -> int:
    """Count the multiply-adds of one image outside the slots, by operator.

    What depends on the weights alone is computed once for all images of a batch, so that one image
    is run by itself; of a network that cannot do this, each image has an equal share.
    """
    batch = len(sample)
    if batch > 1:
        try:
            seen, batch = watch(network, sample[:1]), 1
        except DsxError:
            _LOG.info("the network runs on no single image; flops are those of an image of several")
    # Those of a dsx convolution are known by closed form: of its training form, operators say more.
    redesigned = sum(
        module.cost((out[-2], out[-1])).flops * out[:-3].numel()
        for module, calls in seen.modules.items()
        if isinstance(module, DsxConv)
        for out in calls
    )
    others = sum(
        count
        for module, count in seen.flops.items()
        if not isinstance(module, DsxConv) and module not in found
    )
    return (redesigned + others) // batch


def _redesigned(network: nn.Module) -> list[DsxConv]:
    """List the dsx convolutions that are not a part of another one."""
    convs = [module for module in network.modules() if isinstance(module, DsxConv)]
    inner = {part for conv in convs for part in conv.modules() if part is not conv}
    return [conv for conv in convs if conv not in inner]


def _numbers(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
