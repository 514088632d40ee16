"""Put specs into the slots of a network."""

from collections.abc import Mapping

from torch import nn

from dsx.conv import ConvSpec, build, from_conv2d
from dsx.conv.graph import normed, swap
from dsx.conv.sparsity import disagreement
from dsx.errors import SpecError, unknown
from dsx.space.network.exclusions import Holders, holders, irreplaceable
from dsx.space.network.network import copied


def redesign(
    model: nn.Module, specs: Mapping[str, ConvSpec], keep_weights: bool = False
) -> nn.Module:
    """Build a new network with other convolutions in some slots.

    Args:
        model: Any network; it is copied, and left as it is.
        specs: Spec by slot name; `keep` and slots left out stay as they are. A binary basis
            without a word on its scale has one, unless a BN follows and weights are fresh.
        keep_weights: Whether new convolutions take over what they can of the weights; by default
            they get fresh ones.

    Returns:
        The new network; all other weights are copies.

    Raises:
        SpecError: If there is no such slot, it cannot be replaced (hooks hang on it, it shares
            weights), a spec cannot be set there, or two names of one convolution are given
            different specs.
        DsxError: If the network cannot be copied, or has weights without a shape yet.
    """
    network = copied(model)
    held = holders(network)
    convs = {
        name: module
        for name, module in network.named_modules(remove_duplicate=False)
        if type(module) is nn.Conv2d
    }
    open_scale = any(spec.binary_basis and spec.scale is None for spec in specs.values())
    # A trained weight has a size that signs alone cannot have, whatever follows.
    scaleless = normed(network) if open_scale and not keep_weights else set()
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
            other, standing = canonical.setdefault(conv, (name, at))
            if standing != at:
                raise SpecError(f"is the same convolution as {other}, with another spec")
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
