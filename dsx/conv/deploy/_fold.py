"""Fold each BN of a traced network into the convolution before it."""

import operator

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dsx.conv._base import DsxConv
from dsx.conv.norms import pairs
from dsx.conv.swap import swap

_IDLE = (nn.Identity, nn.Dropout, nn.Dropout2d)


def fold_batch_norms(network: nn.Module, graph: fx.Graph, untouched: set[nn.Module]) -> int:
    """Fold every BN that directly and only follows a convolution, in place.

    Args:
        network: In eval mode; folded BNs become nn.Identity.
        graph: Its trace.
        untouched: Modules that must stay as they are.

    Returns:
        How many were folded.
    """
    replacements: dict[nn.Module, nn.Module] = {}
    for conv, norm in pairs(network, graph):
        settled = norm.running_mean is not None and not norm.training
        if settled and untouched.isdisjoint((conv, norm)):
            replacements |= _folded(conv, norm)
    swap(network, replacements)
    return sum(isinstance(new, nn.Identity) for new in replacements.values())


def _folded(conv: nn.Conv2d | DsxConv, norm: nn.BatchNorm2d) -> dict[nn.Module, nn.Module]:
    if isinstance(conv, nn.Conv2d):
        return {conv: fuse_conv_bn_eval(conv, norm), norm: nn.Identity()}
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    dtype = norm.running_mean.dtype
    conv.scale_outputs(scale.detach().to(dtype), shift.detach().to(dtype))
    return {norm: nn.Identity()}


def flatten(holder: nn.Sequential, graph: fx.Graph) -> nn.Module:
    """Write a deployed network as one flat graph without idle modules.

    Args:
        holder: Holds the network, with its forms in place.
        graph: Its trace from before they came in.

    Returns:
        A fx.GraphModule of torch's own parts, under the names that they have in the network.
    """
    # Not the network's own code again: it may read what a form has not (a stride, a padding).
    whole = fx.GraphModule(holder, graph)
    flat = fx.GraphModule(whole, fx.Tracer().trace(whole))
    parts = {}
    for node in list(flat.graph.nodes):
        if node.op not in ("call_module", "get_attr"):
            continue
        part = operator.attrgetter(str(node.target))(flat)
        if isinstance(part, _IDLE):
            node.replace_all_uses_with(node.all_input_nodes[0])
            flat.graph.erase_node(node)
        else:
            node.target = str(node.target).removeprefix("0.")
            parts[node.target] = part
    return fx.GraphModule(parts, flat.graph)
