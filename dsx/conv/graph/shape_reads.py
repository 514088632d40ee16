"""Reads of tensor metadata in a trace, such as shapes, as opposed to tensor values."""

import operator
from typing import Any

from torch import fx, nn

from dsx.torch_private import ASSERT

ATTRIBUTES = ("shape", "ndim", "dtype", "device", "is_cuda", "layout", "requires_grad")
"""Attributes of a tensor that do not depend on its values."""
METHODS = ("size", "dim", "ndimension", "numel", "stride", "is_floating_point", "is_contiguous")
"""Methods of a tensor whose results do not depend on its values."""


def reads_shape(node: fx.Node) -> bool:
    """Check whether a node reads only metadata of a tensor.

    Args:
        node: Node of a trace.

    Returns:
        Whether the result does not depend on the values of the tensor.
    """
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] in ATTRIBUTES
    return node.op == "call_method" and node.target in METHODS


def data_users(node: fx.Node) -> list[fx.Node]:
    """Return the users of a node that read the values of its tensor.

    Args:
        node: Node of a trace.

    Returns:
        The users, without those that only read metadata.
    """
    return [user for user in node.users if not reads_shape(user)]


def fix_own_reads(network: nn.Module, graph: fx.Graph) -> None:
    """Replace metadata reads of the tensors of the network, such as a dtype, by constants.

    Args:
        network: Traced network.
        graph: Trace of the network, modified in place.
    """
    for node in list(graph.nodes):
        owner = node.args[0] if reads_shape(node) else None
        if not isinstance(owner, fx.Node) or owner.op != "get_attr":
            continue
        tensor = operator.attrgetter(str(owner.target))(network)
        if node.op == "call_function":
            value = getattr(tensor, str(node.args[1]))
        else:
            value = getattr(tensor, str(node.target))(*node.args[1:], **node.kwargs)
        _replace(node, value)
    for node in reversed(list(graph.nodes)):
        if node.op == "get_attr" and not node.users:
            graph.erase_node(node)


def _replace(node: fx.Node, value: Any) -> None:
    """Replace a node by a value in the arguments of its users, and erase the node."""
    for user in list(node.users):
        user.args, user.kwargs = fx.node.map_arg(
            (user.args, user.kwargs), lambda given: value if given is node else given
        )
    node.graph.erase_node(node)


def drop_shape_checks(graph: fx.Graph) -> None:
    """Remove assertions about shapes, which held during tracing, from a trace in place.

    Args:
        graph: Trace of a network.
    """
    for node in reversed(list(graph.nodes)):
        check = node.op == "call_function" and node.target is ASSERT
        if (check or not node.users) and _from_shapes(node):
            graph.erase_node(node)


def _from_shapes(node: fx.Node) -> bool:
    """Check whether a value is computed from tensor metadata only."""
    if reads_shape(node):
        return True
    computed = node.op in ("call_function", "call_method") and bool(node.all_input_nodes)
    return computed and all(map(_from_shapes, node.all_input_nodes))
