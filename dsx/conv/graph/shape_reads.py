"""Reads of the properties of a tensor in a trace, such as its shape, as opposed to its numbers."""

import operator
from typing import Any

from torch import fx, nn

from dsx.torch_private import ASSERT

ATTRIBUTES = ("shape", "ndim", "dtype", "device", "is_cuda", "layout", "requires_grad")
"""Attributes of a tensor that do not depend on its numbers."""
METHODS = ("size", "dim", "ndimension", "numel", "stride", "is_floating_point", "is_contiguous")
"""Methods of a tensor whose results do not depend on its numbers."""


def reads_shape(node: fx.Node) -> bool:
    """Check whether a node reads something of a tensor that does not depend on its numbers."""
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] in ATTRIBUTES
    return node.op == "call_method" and node.target in METHODS


def data_users(node: fx.Node) -> list[fx.Node]:
    """List the nodes that use the numbers of a tensor."""
    return [user for user in node.users if not reads_shape(user)]


def fix_own_reads(network: nn.Module, graph: fx.Graph) -> None:
    """Replace what a trace reads of the network's own tensors, such as a dtype, by its value.

    Args:
        network: The network; its tensors keep their shapes and dtypes.
        graph: Trace of the network, changed in place.
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
    """Replace a node by a value in the arguments of its users, and erase it."""
    for user in list(node.users):
        user.args, user.kwargs = fx.node.map_arg(
            (user.args, user.kwargs), lambda given: value if given is node else given
        )
    node.graph.erase_node(node)


def drop_shape_checks(graph: fx.Graph) -> None:
    """Take assertions about shapes out of a trace, in place; the trace itself has passed them.

    Args:
        graph: A trace.
    """
    for node in reversed(list(graph.nodes)):
        check = node.op == "call_function" and node.target is ASSERT
        if (check or not node.users) and _from_shapes(node):
            graph.erase_node(node)


def _from_shapes(node: fx.Node) -> bool:
    """Check whether a value is computed from shapes alone."""
    if reads_shape(node):
        return True
    computed = node.op in ("call_function", "call_method") and bool(node.all_input_nodes)
    return computed and all(map(_from_shapes, node.all_input_nodes))
