"""The structure of a deployed network: everything that the amount of its computation depends on.

Two networks with equal structure run the same operators on tensors of the same shapes in the same
order. Weights and index tables are not part of the structure: they depend on the training and its
seed, and do not change the amount of computation. The plan of a native form is an index table that
contains amounts as well, and these are part of the structure: the number of entries in the list of
each block, and the number of columns of each kernel position. The channels that an entry reads, the
outputs of a block and the maps that an output adds up are not.

For fixed kernel shapes, the design determines the plan, so that all trainings of a design share
their readings. For learned shapes, the amounts depend on the training, so that two trainings share
their readings only if all amounts are equal.
"""

import dataclasses
import enum
from collections.abc import Mapping
from numbers import Number
from typing import Any

import torch
from torch import Tensor, fx, nn

from dsx.conv.native.module import BlockSparseConv2d
from dsx.plain import plain
from dsx.torch_private import has_forward_hooks, own_buffers, own_parameters

_INTERNAL = frozenset(vars(nn.Module()))
_PLAIN = (bool, int, float, str, type(None))
_NAMED = (torch.dtype, torch.device, torch.memory_format, torch.layout, enum.Enum, type(...))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Structure:
    """The structure of a network.

    Args:
        facts: Plain JSON values, equal for networks of equal structure.
        complete: Whether the facts determine the computation; false if torch.fx cannot trace the
            network, a hook is attached to a module, or an attribute cannot be described.
    """

    facts: Any
    complete: bool


def structure(network: nn.Module) -> Structure:
    """Return the structure of a deployed network without running it.

    Args:
        network: `Deployed.network`: a flat graph, or another module if it cannot be traced.

    Returns:
        The structure, in which the names of nodes and modules are replaced by numbers.
    """
    description = _Description()
    if isinstance(network, fx.GraphModule):
        facts = description.graph(network)
    else:
        facts = description.module(network)
        # The code of the module may depend on any value.
        description.complete = False
    return Structure(facts=facts, complete=description.complete)


def tensor_facts(tensor: Tensor) -> list[Any]:
    """Return the shape, strides and dtype of a tensor as plain JSON values.

    Args:
        tensor: Tensor to describe.

    Returns:
        The list of shape, strides and dtype.
    """
    return [list(tensor.shape), list(tensor.stride()), str(tensor.dtype)]


class _Description:
    """A description of a network under construction.

    Attributes:
        complete: Whether everything so far could be described.
    """

    def __init__(self) -> None:
        self.complete = True
        self._modules: dict[nn.Module, int] = {}

    def graph(self, network: fx.GraphModule) -> list[Any]:
        """Describe the nodes of a flat graph in the order in which they run."""
        numbers = {node: number for number, node in enumerate(network.graph.nodes)}
        return [
            [
                node.op,
                self._target(network, node),
                self._value(node.args, numbers),
                self._value(node.kwargs, numbers),
            ]
            for node in network.graph.nodes
        ]

    def module(self, module: nn.Module) -> list[Any]:
        """Describe a module: its type, attributes, tensors and children."""
        if module in self._modules:
            return ["same module", self._modules[module]]
        self._modules[module] = len(self._modules)
        if has_forward_hooks(module):
            self.complete = False
        attributes = {name: value for name, value in vars(module).items() if name not in _INTERNAL}
        tensors = {**own_parameters(module), **own_buffers(module)}
        return [
            self._name(type(module)),
            {name: self._value(value) for name, value in sorted(attributes.items())},
            {name: self._value(tensor) for name, tensor in sorted(tensors.items())},
            {name: self.module(child) for name, child in module.named_children()},
            *([module.amounts] if isinstance(module, BlockSparseConv2d) else []),
        ]

    def _target(self, network: fx.GraphModule, node: fx.Node) -> Any:
        if node.op == "call_module":
            return self.module(network.get_submodule(str(node.target)))
        if node.op == "get_attr":
            owner, _, name = str(node.target).rpartition(".")
            return self._value(getattr(network.get_submodule(owner), name))
        if node.op == "call_function":
            return self._name(node.target)
        return str(node.target) if node.op == "call_method" else None

    def _value(self, value: Any, nodes: Mapping[fx.Node, int] | None = None) -> Any:
        """Describe an argument or an attribute."""
        if isinstance(value, Number):
            value = plain(value)
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, fx.Node) and nodes is not None:
            return ["node", nodes[value]]
        if isinstance(value, Tensor):
            return ["tensor", *tensor_facts(value)]
        if isinstance(value, tuple | list):
            return [self._value(item, nodes) for item in value]
        if isinstance(value, Mapping):
            return ["mapping", *([str(k), self._value(v, nodes)] for k, v in value.items())]
        if isinstance(value, slice):
            ends = (value.start, value.stop, value.step)
            return ["slice", *(self._value(end, nodes) for end in ends)]
        if isinstance(value, _NAMED):
            return [type(value).__name__, str(value)]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            return [self._name(type(value)), self._value(fields)]
        return self._name(value)

    def _name(self, value: Any) -> str:
        """Return the import path of a function or class, or the type of a value that has none."""
        name = getattr(value, "__qualname__", None)
        if not isinstance(name, str) or "<" in name:
            self.complete = False
            return type(value).__name__
        return f"{getattr(value, '__module__', None)}.{name}"
