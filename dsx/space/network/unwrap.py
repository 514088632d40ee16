"""Removal of the wrappers that torch adds to a network for compilation or distribution."""

from torch import fx, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from dsx.errors import DsxError
from dsx.torch_private import own_children, without_compiler

_AROUND = (nn.DataParallel, DistributedDataParallel, AveragedModel)
_SHARDED = ("FullyShardedDataParallel", "FSDPModule")


def unwrap(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """Remove the wrappers around a network.

    Args:
        network: Any network; it is unchanged.

    Returns:
        The inner network, and the names of the removed wrappers, outermost first.

    Raises:
        DsxError: If the network cannot be unwrapped.
    """
    found = []
    inner = _inside(network)
    while inner is not None:
        found.append(type(network).__name__)
        network, inner = inner, _inside(inner)
    _check(network)
    return network, found


def unwrap_parts(network: nn.Module) -> list[str]:
    """Remove the wrappers around modules of a network, in place.

    Args:
        network: Network that is not wrapped itself.

    Returns:
        The names of the unwrapped modules, each with its wrappers.
    """
    found = []
    for path, parent in list(network.named_modules()):
        for name, child in list(own_children(parent).items()):
            if child is not None and _inside(child) is not None:
                inner, wrappers = unwrap(child)
                setattr(parent, name, inner)
                full_name = ".".join(filter(None, (path, name)))
                found.append(f"{full_name} ({', '.join(wrappers)})")
                found += [f"{full_name}.{part}" for part in unwrap_parts(inner)]
    return found


def wrapper_note(wrappers: list[str], parts: list[str]) -> list[str]:
    """Return a note about the removed wrappers.

    Args:
        wrappers: Wrappers of the network itself.
        parts: Modules of the network with their wrappers.

    Returns:
        A list of one sentence; empty if no wrapper was removed.
    """
    around = [f"the network ({', '.join(wrappers)})"] if wrappers else []
    named = ", ".join(around + parts)
    return [f"removed wrappers, which do not change the output: {named}"] if named else []


def _inside(module: nn.Module) -> nn.Module | None:
    if isinstance(module, _AROUND):
        inside = module.module
        assert isinstance(inside, nn.Module)
        return inside
    return without_compiler(module)


def _check(network: nn.Module) -> None:
    kinds = {kind.__name__ for kind in type(network).__mro__}
    if not kinds.isdisjoint(_SHARDED):
        raise DsxError("its weights are sharded (FSDP): use the nn.Module that was wrapped")
    # torch.export replaces the method of the object, since its program has no train mode.
    if isinstance(network, fx.GraphModule) and "train" in vars(network):
        raise DsxError("is a program of torch.export: use the nn.Module that was exported")
