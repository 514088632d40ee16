"""Constants of a traced network: what it computes from its own tensors alone."""

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

_IN_PLACE = (operator.setitem, operator.iadd, operator.isub, operator.imul, operator.itruediv)


class Varies(Exception):
    """A value of the trace need not be the same in every call."""


class Constants:
    """Values that a traced network computes from its parameters and buffers alone.

    Args:
        network: The network, in eval mode.
        graph: Trace of the network.
    """

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        self._network = network
        self._graph = graph
        self._used: dict[fx.Node, None] = {}
        self._changing = _changes_own_tensors(graph)
        self._parameters: dict[int, tuple[Tensor, nn.Parameter]] = {}

    def value(self, argument: Any) -> Any:
        """Compute an argument of a node.

        Args:
            argument: An argument, or several of them in a tuple, list or dict.

        Returns:
            The argument with the value of each node in the node's place.

        Raises:
            Varies: If it depends on the input, on random numbers, or on tensors that the network
                changes.
        """
        return fx.node.map_arg(argument, self._node)

    def parameter(self, tensor: Tensor) -> nn.Parameter:
        """Return a tensor as a parameter without gradient, the same one for the same tensor."""
        made = nn.Parameter(tensor.detach(), requires_grad=False)
        # The tensor is kept, too, so that no other one gets its identity.
        return self._parameters.setdefault(id(tensor), (tensor, made))[1]

    def owner(self, argument: Any) -> str:
        """Name the module that holds the first tensor that an argument is computed from."""
        nodes: list[fx.Node] = []
        fx.node.map_arg(argument, nodes.append)
        while nodes[0].op != "get_attr":
            nodes = [*nodes[0].all_input_nodes, *nodes[1:]]
        return str(nodes[0].target).rpartition(".")[0]

    def erase_unused(self) -> None:
        """Take the nodes out of the trace that were evaluated here and have no user left."""
        for node in reversed(list(self._graph.nodes)):
            if node in self._used and not node.users:
                self._graph.erase_node(node)

    def _node(self, node: fx.Node) -> Any:
        if self._changing:
            raise Varies
        if node.op == "get_attr":
            found = operator.attrgetter(str(node.target))(self._network)
        else:
            found = self._computed(node)
        self._used[node] = None
        return found

    def _computed(self, node: fx.Node) -> Any:
        if node.op not in ("call_function", "call_method") or not node.all_input_nodes:
            raise Varies
        args, kwargs = self.value(node.args), self.value(node.kwargs)
        with torch.no_grad(), torch.random.fork_rng():
            found, again = (_call(node, args, kwargs) for _ in range(2))
        if isinstance(found, Tensor) and not torch.equal(found, again):
            raise Varies
        return found


def _call(node: fx.Node, args: Any, kwargs: Any) -> Any:
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    return node.target(*args, **kwargs)


def _changes_own_tensors(graph: fx.Graph) -> bool:
    """Check whether the network writes into a tensor that does not come from its input."""
    varying = from_input(graph)
    return any(
        _writes(node) and not varying.issuperset(node.all_input_nodes[:1]) for node in graph.nodes
    )


def from_input(graph: fx.Graph) -> set[fx.Node]:
    """List the nodes of a trace whose values depend on the input."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found


def _writes(node: fx.Node) -> bool:
    """Check whether a node changes its first argument, by torch's rule of naming."""
    if node.op not in ("call_function", "call_method"):
        return False
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    return in_place or node.target in _IN_PLACE or "out" in node.kwargs
