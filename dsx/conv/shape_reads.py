"""Reads of the properties of a tensor in a trace, such as its shape, as opposed to its numbers."""

import torch
from torch import fx

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


def drop_shape_checks(graph: fx.Graph) -> None:
    """Take assertions about shapes out of a trace, in place; the trace itself has passed them.

    Args:
        graph: A trace.
    """
    for node in reversed(list(graph.nodes)):
        check = node.op == "call_function" and node.target is torch._assert
        if (check or not node.users) and _from_shapes(node):
            graph.erase_node(node)


def _from_shapes(node: fx.Node) -> bool:
    """Check whether a value is computed from shapes alone."""
    if reads_shape(node):
        return True
    computed = node.op in ("call_function", "call_method") and bool(node.all_input_nodes)
    return computed and all(map(_from_shapes, node.all_input_nodes))
