"""Constants of a traced network: values that depend on its own tensors only."""

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

_IN_PLACE = (operator.setitem, operator.iadd, operator.isub, operator.imul, operator.itruediv)


class NotConstant(Exception):
    """Raised for a value of a trace that can differ between calls of the network."""


class Constants:
    """Evaluation of the values that a traced network computes from its own tensors only.

    Args:
        network: Network in eval mode.
        graph: Trace of the network.
    """

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        self._network = network
        self._graph = graph
        self._used: dict[fx.Node, None] = {}
        self._changing = _changes_own_tensors(graph)
        self._parameters: dict[int, tuple[Tensor, nn.Parameter]] = {}

    def value(self, argument: Any) -> Any:
        """Evaluate an argument of a node.

        Args:
            argument: Argument, or a tuple, list or dict of arguments.

        Returns:
            The argument, in which each node is replaced by its value.

        Raises:
            NotConstant: If the value depends on the input, on random numbers, or on tensors that
                the network modifies.
        """
        return fx.node.map_arg(argument, self._node)

    def parameter(self, tensor: Tensor) -> nn.Parameter:
        """Return a tensor as a parameter without gradient.

        Args:
            tensor: Tensor to wrap.

        Returns:
            The parameter, which is the same one for the same tensor.
        """
        created = nn.Parameter(tensor.detach(), requires_grad=False)
        # The tensor is kept alive, so that no other tensor gets its id.
        return self._parameters.setdefault(id(tensor), (tensor, created))[1]

    def owner(self, argument: Any) -> str:
        """Return the module that holds the first tensor from which an argument is computed.

        Args:
            argument: Argument, or a tuple, list or dict of arguments.

        Returns:
            The dotted name of the module.
        """
        nodes: list[fx.Node] = []
        fx.node.map_arg(argument, nodes.append)
        while nodes[0].op != "get_attr":
            nodes = [*nodes[0].all_input_nodes, *nodes[1:]]
        return str(nodes[0].target).rpartition(".")[0]

    def erase_unused(self) -> None:
        """Erase the evaluated nodes that no longer have users from the trace."""
        for node in reversed(list(self._graph.nodes)):
            if node in self._used and not node.users:
                self._graph.erase_node(node)

    def _node(self, node: fx.Node) -> Any:
        if self._changing:
            raise NotConstant
        if node.op == "get_attr":
            value = operator.attrgetter(str(node.target))(self._network)
        else:
            value = self._computed(node)
        self._used[node] = None
        return value

    def _computed(self, node: fx.Node) -> Any:
        if node.op not in ("call_function", "call_method") or not node.all_input_nodes:
            raise NotConstant
        args, kwargs = self.value(node.args), self.value(node.kwargs)
        with torch.no_grad(), torch.random.fork_rng():
            value, again = (_call(node, args, kwargs) for _ in range(2))
        if isinstance(value, Tensor) and not torch.equal(value, again):
            raise NotConstant
        return value


def _call(node: fx.Node, args: Any, kwargs: Any) -> Any:
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    return node.target(*args, **kwargs)


def _changes_own_tensors(graph: fx.Graph) -> bool:
    """Check whether the network writes to a tensor that does not depend on its input."""
    varying = from_input(graph)
    return any(
        _writes(node) and not varying.issuperset(node.all_input_nodes[:1]) for node in graph.nodes
    )


def from_input(graph: fx.Graph) -> set[fx.Node]:
    """Return the nodes of a trace whose values depend on the input.

    Args:
        graph: Trace of a network.

    Returns:
        The nodes, including the placeholders.
    """
    dependent: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or not dependent.isdisjoint(node.all_input_nodes):
            dependent.add(node)
    return dependent


def _writes(node: fx.Node) -> bool:
    """Check whether a node modifies its first argument, by the naming convention of torch."""
    if node.op not in ("call_function", "call_method"):
        return False
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    return in_place or node.target in _IN_PLACE or "out" in node.kwargs
