"""Network analysis: the slots and excluded convolutions of a network, and its closed-form cost."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dsx.conv import KEEP, REAL_BITS, ConvSpec, Cost, DsxConv, set_mode
from dsx.conv.graph import convs_before_norms, follow
from dsx.conv.sparsity import Geometry
from dsx.errors import DsxError
from dsx.space.network.calls import Calls, record_calls
from dsx.space.network.exclusions import find_excluded
from dsx.space.network.network import copy_network
from dsx.space.network.slots import Slot

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class NetworkAnalysis:
    """Slots, excluded convolutions and cost of a network.

    Args:
        slots: Slots in the order of their first call.
        excluded: Reason for each convolution that is not a slot, by name.
        rest: Cost of everything except the slots: excluded convolutions, linear layers, batch
            norms; flops are counted by operator.
        input_shape: Channels, rows and columns of one input image.
        output_shape: Shape of the output for one image, without the batch dimension.
        wrapped: Whether the network returns an object that contains its logits.
        uncounted: Number of calls by name of each operator that is neither counted nor known to
            perform no multiply-adds; `flops` do not include them.
        untraced: Reason why torch.fx cannot trace the network; None if it can.
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
        """Compute the closed-form cost of a design.

        Args:
            specs: Spec by slot name; other slots are unchanged.

        Returns:
            The cost of the whole network.

        Raises:
            SpecError: If a spec cannot be applied to its slot, with the reason.
        """
        total = self.rest
        for slot in self.slots:
            total += slot.cost(specs.get(slot.name, KEEP))
        return total

    def cost_of(self, network: nn.Module) -> Cost:
        """Compute the cost of a redesigned network with its learned shapes in their current state.

        Args:
            network: The redesigned network.

        Returns:
            The cost of the whole network.
        """
        total = self.rest
        for slot in self.slots:
            conv = network.get_submodule(slot.name)
            total += slot.cost_of(conv) if isinstance(conv, DsxConv) else slot.cost()
        return total


def slots(model: nn.Module, sample: Tensor) -> list[Slot]:
    """List the convolutions of a network that can be redesigned.

    Args:
        model: Any network; it is not modified.
        sample: Input batch.

    Returns:
        The slots, each of which is an `nn.Conv2d`, in the order of their first call.

    Raises:
        DsxError: If the network does not run on the sample.
    """
    return list(analyse_network(model, sample).slots)


def analyse_network(
    model: nn.Module, sample: Tensor, keep_weights: bool = False
) -> NetworkAnalysis:
    """Run a network once and analyse its modules, operators and output sizes.

    Args:
        model: Any network; it is copied and not modified.
        sample: Input batch.
        keep_weights: Whether redesigned slots inherit the original weights, so that a binary basis
            requires a scale.

    Returns:
        The network analysis.

    Raises:
        DsxError: If the sample is empty, or the network cannot be copied, does not run on the
            sample, or does not return a tensor.
    """
    if not len(sample):
        raise DsxError("the sample contains no images")
    network = set_mode(copy_network(model), False)
    calls = record_calls(network, sample)
    traced = follow(network, sample)
    excluded, problem = find_excluded(network, traced, calls), traced.unsupported
    scaleless = set() if keep_weights else convs_before_norms(network, traced)
    names = {module: name for name, module in network.named_modules()}
    batch = len(sample)
    found = {
        module: _slot(names[module], module, shapes, batch, module not in scaleless)
        for module, shapes in calls.modules.items()
        if type(module) is nn.Conv2d and names[module] not in excluded
    }
    return NetworkAnalysis(
        slots=tuple(found.values()),
        excluded=excluded,
        rest=_rest(network, _flops(network, sample, calls, found), found),
        input_shape=tuple(sample.shape[1:]),
        output_shape=tuple(calls.output.shape[1:]),
        wrapped=calls.wrapped,
        uncounted=calls.uncounted,
        untraced=None if problem is None else problem.reason,
    )


def _slot(name: str, conv: nn.Conv2d, shapes: list[torch.Size], batch: int, scaled: bool) -> Slot:
    # A network may fold parts of an image into the batch, or split the batch into parts.
    images: Counter[tuple[int, int]] = Counter()
    for out in shapes:
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
    """Compute the cost of everything except the slots, given its multiply-adds."""
    convs = _redesigned(network)
    costs = [conv.cost((1, 1)) for conv in convs]
    plain = (
        _count_parameters(network)
        - sum(map(_count_parameters, convs))
        - sum(slot.cost().params for slot in found.values())
    )
    return Cost(
        params=plain + sum(cost.params for cost in costs),
        flops=flops,
        bits=REAL_BITS * plain + sum(cost.bits for cost in costs),
    )


def _flops(
    network: nn.Module, sample: Tensor, calls: Calls, found: Mapping[nn.Conv2d, Slot]
) -> int:
    """Count the multiply-adds of one image outside the slots, by operator.

    Operators that depend on the weights alone run once per batch, so that a single image is run
    for the count. If the network cannot process a single image, the count of a batch is divided by
    its number of images.
    """
    batch = len(sample)
    if batch > 1:
        try:
            calls, batch = record_calls(network, sample[:1]), 1
        except DsxError:
            _LOG.info("the network does not run on a single image; flops are averaged over a batch")
    # Dsx convolutions are counted by closed form, since operators of the training form do more.
    redesigned = sum(
        module.cost((out[-2], out[-1])).flops * out[:-3].numel()
        for module, shapes in calls.modules.items()
        if isinstance(module, DsxConv)
        for out in shapes
    )
    others = sum(
        count
        for module, count in calls.flops.items()
        if not isinstance(module, DsxConv) and module not in found
    )
    return (redesigned + others) // batch


def _redesigned(network: nn.Module) -> list[DsxConv]:
    """List the dsx convolutions that are not submodules of another dsx convolution."""
    convs = [module for module in network.modules() if isinstance(module, DsxConv)]
    inner = {part for conv in convs for part in conv.modules() if part is not conv}
    return [conv for conv in convs if conv not in inner]


def _count_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
