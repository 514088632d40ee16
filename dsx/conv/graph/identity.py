"""Calls of a traced network that have no effect in eval mode."""

import inspect

import torch
import torch.nn.functional as F
from torch import fx, nn

from dsx.torch_private import DropoutNd

_BUILT_IN = (torch.dropout, torch.alpha_dropout, torch.feature_dropout, torch.feature_alpha_dropout)
"""Functions of torch without a signature: input, probability, training."""
_DROPOUTS = (
    *(F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout),
    *_BUILT_IN,
)


def drop_idle(network: nn.Module, graph: fx.Graph) -> None:
    """Remove the calls that have no effect in eval mode from a trace, in place.

    Args:
        network: Network in eval mode.
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
    """Check whether a module has no effect in eval mode, by its type.

    Args:
        module: Module in the mode in which it is called.

    Returns:
        Whether it is an identity or a dropout in eval mode.
    """
    if isinstance(module, DropoutNd):
        return not module.training
    return isinstance(module, nn.Identity)


def _returns_its_input(node: fx.Node) -> bool:
    """Check whether a function returns its input in eval mode.

    Dropout and stochastic depth are such functions, regardless of the package that defines them.
    """
    if len(node.all_input_nodes) != 1 or _training(node) is not False:
        return False
    if node.target in _DROPOUTS:
        return True
    assert callable(node.target)
    # A function of torch that returns its input has modified it in place.
    if str(getattr(node.target, "__module__", "")).partition(".")[0] == "torch":
        return False
    probe = torch.tensor([-1e3, -1.0, 0.0, 0.5, 1e3]).repeat(2, 3, 4, 1)
    before = probe.clone()
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda _: probe)
    try:
        return node.target(*args, **kwargs) is probe and torch.equal(probe, before)
    # Any function can have an argument of this name and reject this tensor. Such a function is
    # kept in the trace, which is always correct.
    except (Exception, SystemExit):
        return False


def _training(node: fx.Node) -> object:
    """Return the argument of a function that states whether the network is in train mode."""
    if node.target in _BUILT_IN:
        return node.args[2] if len(node.args) > 2 else node.kwargs.get("train")
    assert callable(node.target)
    try:
        bound = inspect.signature(node.target).bind(*node.args, **node.kwargs)
    # Functions written in C may not have a signature.
    except (TypeError, ValueError):
        return None
    bound.apply_defaults()
    return bound.arguments.get("training")
