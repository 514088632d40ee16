"""Replacement of slots of a network by the convolutions of their specs."""

from collections.abc import Mapping

from torch import nn

from dsx.conv import ConvSpec, build, from_conv2d
from dsx.conv.graph import convs_before_norms, swap
from dsx.conv.sparsity import disagreement
from dsx.errors import SpecError, unknown
from dsx.space.network.exclusions import Holders, count_holders, irreplaceable
from dsx.space.network.network import copy_network


def redesign(
    model: nn.Module, specs: Mapping[str, ConvSpec], keep_weights: bool = False
) -> nn.Module:
    """Build a copy of a network in which some slots are redesigned.

    Args:
        model: Any network; it is copied and not modified.
        specs: Spec by slot name; other slots are unchanged. A binary basis whose spec does not
            define its scale has one, unless a batch norm follows and weights are freshly
            initialised.
        keep_weights: Whether the new convolutions inherit as much of the original weights as
            possible; otherwise they are freshly initialised.

    Returns:
        The new network; all other weights are copies.

    Raises:
        SpecError: If there is no such slot, the slot cannot be replaced (it has hooks, or shares
            weights), a spec cannot be applied to it, or two names of one convolution have different
            specs.
        DsxError: If the network cannot be copied, or has lazily initialised weights.
    """
    network = copy_network(model)
    held = count_holders(network)
    convs = {
        name: module
        for name, module in network.named_modules(remove_duplicate=False)
        if type(module) is nn.Conv2d
    }
    open_scale = any(spec.binary_basis and spec.scale is None for spec in specs.values())
    # Signs alone cannot represent the magnitude of a trained weight, even if a batch norm follows.
    scaleless = convs_before_norms(network) if open_scale and not keep_weights else set()
    replacements: dict[nn.Module, nn.Module] = {}
    canonical: dict[nn.Module, tuple[str, ConvSpec]] = {}
    for name, spec in specs.items():
        if name not in convs:
            raise SpecError(unknown("slot", name, convs))
        conv = convs[name]
        try:
            if not spec.keeps and (problem := disagreement(conv)):
                raise SpecError(problem.reason)
            at = spec.at(conv).scaled(conv not in scaleless)
            other, earlier = canonical.setdefault(conv, (name, at))
            if earlier != at:
                raise SpecError(f"is the same convolution as {other}, with a different spec")
            if not at.keeps and conv not in replacements:
                replacements[conv] = _replacement(conv, at, held, keep_weights)
        except SpecError as error:
            raise SpecError(f"{name}: {error}") from error
    if network in replacements:
        return replacements[network]
    swap(network, replacements)
    return network


def _replacement(conv: nn.Conv2d, spec: ConvSpec, held: Holders, keep_weights: bool) -> nn.Module:
    if problem := irreplaceable(conv, held):
        raise SpecError(problem.reason)
    new = from_conv2d(conv, spec) if keep_weights else build(spec, conv)
    return new.train(conv.training)
