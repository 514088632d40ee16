"""Calls of methods that the user's network may override, without relying on their return values.

The `train`, `eval` and `to` of torch return the module; overridden ones often return None.
"""

import copy
import itertools
from typing import Any, TypeVar

import torch
from torch import nn

from dsx.errors import DsxError, raise_out_of_memory, with_type

M = TypeVar("M", bound=nn.Module)


def set_mode(network: M, training: bool) -> M:
    """Put a network into train or eval mode, in place.

    Args:
        network: Network whose mode is set.
        training: Whether to set train mode instead of eval mode.

    Returns:
        The same network, regardless of the return value of its method.

    Raises:
        DsxError: If the method of the network raises an exception.
    """
    try:
        if training:
            network.train(True)
        else:
            network.eval()
    # This runs code of the user, which may raise any exception.
    except (Exception, SystemExit) as error:
        name = "train" if training else "eval"
        advice = "" if _takes_mode(error) else " (torch calls it as train(mode))"
        raise _failure(network, name, error, advice) from error
    return network


def move(
    network: M,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    layout: torch.memory_format | None = None,
) -> M:
    """Move the tensors of a network to a device, a dtype or a memory layout, in place.

    Args:
        network: Network whose tensors are moved.
        device: Target device; None keeps the current one.
        dtype: Target dtype of floating-point tensors; None keeps the current one.
        layout: Memory layout of 4-dimensional weights; None keeps the current one.

    Returns:
        The same network, regardless of the return value of its method.

    Raises:
        DsxError: If the method of the network raises an exception or does not convert a weight, or
            if a complex tensor would have to be converted.
    """
    # If the network already has the dtype, its complex tensors are unchanged: torch would discard
    # their imaginary part.
    tensors = itertools.chain(network.parameters(), network.buffers())
    converted = any(t.is_floating_point() and t.dtype != dtype for t in tensors)
    if dtype is not None and converted:
        _check_real(network, dtype)
    arguments: dict[str, Any] = {
        "device": device, "dtype": dtype if converted else None, "memory_format": layout
    }  # fmt: skip
    try:
        network.to(**{key: value for key, value in arguments.items() if value is not None})
    # This runs code of the user, which may raise any exception.
    except (Exception, SystemExit) as error:
        raise _failure(network, "to", error, "") from error
    for name, parameter in network.named_parameters():
        if dtype is not None and parameter.is_floating_point() and parameter.dtype != dtype:
            kind = str(dtype).removeprefix("torch.")
            raise DsxError(f"the network's to() does not convert its weight {name} to {kind}")
    return network


def freeze(network: M) -> M:
    """Disable the gradients of all parameters of a network, in place.

    Args:
        network: Network whose parameters are frozen.

    Returns:
        The same network.
    """
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


def duplicate(network: nn.Module) -> nn.Module:
    """Copy a network.

    Args:
        network: Network to copy.

    Returns:
        The copy, which shares no parameter with the network.

    Raises:
        DsxError: If `__deepcopy__` of the network does not return an independent copy.
    """
    copied: object = copy.deepcopy(network)
    if not isinstance(copied, nn.Module):
        raise DsxError(f"its __deepcopy__ returns a {type(copied).__name__}, not a nn.Module")
    originals = {id(parameter) for parameter in network.parameters()}
    if copied is network or any(id(parameter) in originals for parameter in copied.parameters()):
        raise DsxError("its __deepcopy__ returns a network that shares its weights")
    return copied


def _check_real(network: nn.Module, dtype: torch.dtype) -> None:
    for name, tensor in itertools.chain(network.named_parameters(), network.named_buffers()):
        if tensor.is_complex():
            kind = str(dtype).removeprefix("torch.")
            raise DsxError(f"{name} is complex, and torch cannot convert it to {kind}")


def _takes_mode(error: BaseException) -> bool:
    return not (isinstance(error, TypeError) and "argument" in str(error))


def _failure(network: nn.Module, method: str, error: BaseException, advice: str) -> DsxError:
    raise_out_of_memory(error)
    kind = type(network).__name__
    return DsxError(f"{method}() of {kind} fails: {with_type(error)}{advice}")
