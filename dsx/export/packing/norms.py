"""Batch norms of a network, as modules or as function calls."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, fx, nn
from torch.nn import functional as F

from dsx.conv.graph import follow
from dsx.errors import Unsupported

_ARGUMENTS = ("running_mean", "running_var", "weight", "bias")
_TRAINING, _EPS = 5, 7
"""Positions of arguments of F.batch_norm."""
_DEFAULT_EPS = 1e-5


@dataclass(frozen=True, kw_only=True)
class Norm:
    """A batch norm that uses its running statistics.

    Args:
        module: Name of the module; None for a function call.
        tensors: Names in the network of running mean, running variance, weight and bias; None for
            a missing weight or bias.
        eps: Constant that is added to the variance.
        channels: Number of channels.
    """

    module: str | None
    tensors: Mapping[str, str | None]
    eps: float
    channels: int

    @property
    def names(self) -> list[str]:
        """Names of the existing tensors."""
        return [name for name in self.tensors.values() if name is not None]


@dataclass(frozen=True, kw_only=True)
class Factors:
    """Factors that are folded into a convolution and do not correspond to one batch norm.

    Args:
        stored: Factor and shift of each output channel, by their stored names.
    """

    stored: Mapping[str, Tensor]


def find_norms(network: nn.Module, images: Tensor) -> dict[str, Norm]:
    """List the batch norms of a network.

    Args:
        network: Any network, which is unchanged.
        images: Batch of images, (N, C, H, W).

    Returns:
        The batch norms by the name of their running mean, modules first.
    """
    found = {norm.names[0]: norm for norm in _modules(network)}
    graph = follow(network, images).graph
    for norm in () if isinstance(graph, Unsupported) else _calls(network, graph):
        found.setdefault(norm.names[0], norm)
    return found


def _modules(network: nn.Module) -> Iterator[Norm]:
    for name, module in network.named_modules():
        held = {part: getattr(module, part, None) for part in _ARGUMENTS}
        mean, eps = held["running_mean"], getattr(module, "eps", None)
        # Not by type, since networks define other classes of batch norms.
        if not isinstance(mean, Tensor) or not isinstance(held["running_var"], Tensor):
            continue
        if not isinstance(eps, float | int):
            continue
        tensors = {
            part: f"{name}.{part}" if isinstance(tensor, Tensor) else None
            for part, tensor in held.items()
        }
        yield Norm(module=name, tensors=tensors, eps=eps, channels=len(mean))


def _calls(network: nn.Module, graph: fx.Graph) -> Iterator[Norm]:
    for node in graph.nodes:
        if node.op != "call_function" or node.target is not F.batch_norm:
            continue
        given = {**dict(zip(("input", *_ARGUMENTS), node.args, strict=False)), **node.kwargs}
        tensors = {part: _name(given.get(part)) for part in _ARGUMENTS}
        mean = tensors["running_mean"]
        training = given.get("training", _at(node, _TRAINING, False))
        eps = given.get("eps", _at(node, _EPS, _DEFAULT_EPS))
        if mean is None or tensors["running_var"] is None or training is not False:
            continue
        # Tensors that are computed in the forward pass cannot be stored.
        if not isinstance(eps, float) or any(
            given.get(part) is not None and tensors[part] is None for part in _ARGUMENTS
        ):
            continue
        owner, _, own = mean.rpartition(".")
        channels = len(getattr(network.get_submodule(owner), own))
        yield Norm(module=None, tensors=tensors, eps=eps, channels=channels)


def _at(node: fx.Node, position: int, default: object) -> object:
    return node.args[position] if len(node.args) > position else default


def _name(argument: object) -> str | None:
    if isinstance(argument, fx.Node) and argument.op == "get_attr":
        # The traced module contains the network as part 0.
        return str(argument.target).removeprefix("0.")
    return None
