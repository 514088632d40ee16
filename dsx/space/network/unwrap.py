"""Unwrap: the network inside what torch puts around one, to compile or to distribute it."""

from torch import fx, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from dsx.errors import DsxError
from dsx.torch_private import own_children, without_compiler

_AROUND = (nn.DataParallel, DistributedDataParallel, AveragedModel)
_SHARDED = ("FullyShardedDataParallel", "FSDPModule")


def unwrap(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """Take a network out of the wrappers around it.

    Args:
        network: Any network; it is unchanged.

    Returns:
        The network inside, and the wrappers that were taken off, from the outside in.

    Raises:
        DsxError: If the network cannot be taken out.
    """
    found = []
    inner = _inside(network)
    while inner is not None:
        found.append(type(network).__name__)
        network, inner = inner, _inside(inner)
    _check(network)
    return network, found


def unwrap_parts(network: nn.Module) -> list[str]:
    """Take the modules of a network out of the wrappers around them, in place.

    Args:
        network: A network that is not wrapped itself.

    Returns:
        The names of the modules, each with its wrapper.
    """
    found = []
    for path, parent in list(network.named_modules()):
        for name, child in list(own_children(parent).items()):
            if child is not None and _inside(child) is not None:
                inner, wrappers = unwrap(child)
                setattr(parent, name, inner)
                own = ".".join(filter(None, (path, name)))
                found.append(f"{own} ({', '.join(wrappers)})")
                found += [f"{own}.{part}" for part in unwrap_parts(inner)]
    return found


def wrapper_note(wrappers: list[str], parts: list[str]) -> list[str]:
    """State what was taken off.

    Args:
        wrappers: Wrappers of the network itself.
        parts: Modules of it with their wrappers.

    Returns:
        One sentence; none if nothing was taken off.
    """
    around = [f"the network ({', '.join(wrappers)})"] if wrappers else []
    named = ", ".join(around + parts)
    return [f"taken out of wrappers that neither compute nor train: {named}"] if named else []


def _inside(module: nn.Module) -> nn.Module | None:
    if isinstance(module, _AROUND):
        inside = module.module
        assert isinstance(inside, nn.Module)
        return inside
    return without_compiler(module)


def _check(network: nn.Module) -> None:
    kinds = {kind.__name__ for kind in type(network).__mro__}
    if not kinds.isdisjoint(_SHARDED):
        raise DsxError("its weights are sharded (FSDP): give the nn.Module that was wrapped")
    # torch.export replaces the method of the object, since its program has no modes.
    if isinstance(network, fx.GraphModule) and "train" in vars(network):
        raise DsxError("is a program of torch.export: give the nn.Module that it was made from")
