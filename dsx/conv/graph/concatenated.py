"""Batch norms behind concatenated convolutions, split into one batch norm per convolution."""

from collections.abc import Callable

from torch import Tensor, fx, nn

from dsx.conv.graph.functional import attach, concatenated, conv_of
from dsx.conv.graph.shape_reads import data_users


def split_norms(network: nn.Module, graph: fx.Graph, foldable: Callable[[nn.Module], bool]) -> None:
    """Split each batch norm behind concatenated convolutions into one per convolution, in place.

    Args:
        network: Network in eval mode; the new batch norms are added to it.
        graph: Trace of the network, modified to call the new batch norms.
        foldable: Predicate for modules that may be folded and are called only once.
    """
    for node in list(graph.nodes):
        norm = network.get_submodule(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d) or not node.args:
            continue
        if norm.running_mean is None or norm.training:
            continue
        whole, owner = node.args[0], str(node.target).rpartition(".")[0]
        parts = concatenated(whole)
        once = len(set(parts)) == len(parts) > 0
        if not once or data_users(whole) != [node] or not foldable(norm):
            continue
        if all(
            data_users(part) == [whole] and _is_foldable(part, network, foldable) for part in parts
        ):
            _split(parts, norm, network, owner)
            node.replace_all_uses_with(whole)
            graph.erase_node(node)


def _is_foldable(part: fx.Node, network: nn.Module, foldable: Callable[[nn.Module], bool]) -> bool:
    conv = conv_of(part, network)
    return conv is not None and foldable(conv)


def _split(parts: list[fx.Node], norm: nn.BatchNorm2d, network: nn.Module, owner: str) -> None:
    first = 0
    for part in parts:
        channels = int(network.get_submodule(str(part.target)).out_channels)  # type: ignore[arg-type]
        part_norm = _slice(norm, slice(first, first + channels))
        first += channels
        with part.graph.inserting_after(part):
            called = part.graph.call_module(attach(part_norm, network, owner), (part,))
        part.replace_all_uses_with(called, lambda user, called=called: user is not called)  # type: ignore[misc]


def _slice(norm: nn.BatchNorm2d, channels: slice) -> nn.BatchNorm2d:
    """Build a batch norm of a range of the channels."""
    assert norm.running_mean is not None and norm.running_var is not None
    part_norm = nn.BatchNorm2d(len(norm.running_mean[channels]), eps=norm.eps, affine=norm.affine)
    part_norm.running_mean, part_norm.running_var = (
        norm.running_mean[channels],
        norm.running_var[channels],
    )
    for name, tensor in norm.named_parameters():
        assert isinstance(tensor, Tensor)
        setattr(part_norm, name, nn.Parameter(tensor.detach()[channels], requires_grad=False))
    return part_norm.eval()
