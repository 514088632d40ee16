"""Calls of a traced network that do nothing in eval mode."""

import inspect

import torch
import torch.nn.functional as F
from torch import fx, nn

from dsx.torch_private import DropoutNd

_BUILT_IN = (torch.dropout, torch.alpha_dropout, torch.feature_dropout, torch.feature_alpha_dropout)
"""Functions of torch without a signature: input, probability, whether the network trains."""
_DROPOUTS = (
    *(F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout),
    *_BUILT_IN,
)


def drop_idle(network: nn.Module, graph: fx.Graph) -> None:
    """Take the calls that do nothing in eval mode out of a trace, in place.

    Args:
        network: In eval mode.
        graph: Trace of the network.
    """
    for node in list(graph.nodes):
        if node.op == "call_module":
            idle = is_idle(network.get_submodule(str(node.target)))
        else:
            idle = node.op == "call_function" and _returns_its_input(node)
        if idle:
            node.replace_all_uses_with(node.all_input_nodes[0])
            graph.erase_node(node)


def is_idle(module: nn.Module) -> bool:
    """Check whether a module does nothing in eval mode, by its type."""
    if isinstance(module, DropoutNd):
        return not module.training
    return isinstance(module, nn.Identity)


def _returns_its_input(node: fx.Node) -> bool:
    """Check whether a function in eval mode returns the tensor that it takes.

    Dropout and stochastic depth are such functions, wherever they are defined.
    """
    if len(node.all_input_nodes) != 1 or _training(node) is not False:
        return False
    if node.target in _DROPOUTS:
        return True
    assert callable(node.target)
    # A function of torch that gives back its input has changed it.
    if str(getattr(node.target, "__module__", "")).partition(".")[0] == "torch":
        return False
    given = torch.tensor([-1e3, -1.0, 0.0, 0.5, 1e3]).repeat(2, 3, 4, 1)
    before = given.clone()
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda _: given)
    try:
        return node.target(*args, **kwargs) is given and torch.equal(given, before)
    # Any function may have an argument of this name, and may not take this tensor: then it is
    # kept, which is right for every function.
    except (Exception, SystemExit):
        return False


def _training(node: fx.Node) -> object:
    """Return the argument of a function for the mode of the network."""
    if node.target in _BUILT_IN:
        return node.args[2] if len(node.args) > 2 else node.kwargs.get("train")
    assert callable(node.target)
    try:
        given = inspect.signature(node.target).bind(*node.args, **node.kwargs)
    # Functions written in C may have none.
    except (TypeError, ValueError):
        return None
    given.apply_defaults()
    return given.arguments.get("training")
