"""Calls of methods that a network of the user can override, whose return values are not used.

torch's own `train`, `eval` and `to` return the module; overridden ones often return nothing.
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
        network: Any network.
        training: Whether to put it into train mode.

    Returns:
        The same network, regardless of what its own method returns.

    Raises:
        DsxError: If its own method fails.
    """
    try:
        if training:
            network.train(True)
        else:
            network.eval()
    # The user's own code: any exception is about that.
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
        network: Any network.
        device: Where its tensors shall be; None leaves them where they are.
        dtype: Type of the real numbers; None leaves them unchanged.
        layout: Memory layout of its 4-dimensional weights; None leaves them unchanged.

    Returns:
        The same network, regardless of what its own method returns.

    Raises:
        DsxError: If its own method fails or leaves a weight of another dtype, or a complex
            tensor would have to be converted.
    """
    # A network that is of the dtype keeps its complex numbers: torch would drop what is imaginary.
    held = itertools.chain(network.parameters(), network.buffers())
    converted = any(t.is_floating_point() and t.dtype != dtype for t in held)
    if dtype is not None and converted:
        _check_real(network, dtype)
    wanted: dict[str, Any] = {
        "device": device, "dtype": dtype if converted else None, "memory_format": layout
    }  # fmt: skip
    try:
        network.to(**{key: value for key, value in wanted.items() if value is not None})
    # The user's own code: any exception is about that.
    except (Exception, SystemExit) as error:
        raise _failure(network, "to", error, "") from error
    for name, parameter in network.named_parameters():
        if dtype is not None and parameter.is_floating_point() and parameter.dtype != dtype:
            kind = str(dtype).removeprefix("torch.")
            raise DsxError(f"the network's to() does not convert its weight {name} to {kind}")
    return network


def freeze(network: M) -> M:
    """Switch off the gradients of all parameters of a network, in place.

    Args:
        network: Any network.

    Returns:
        The same network.
    """
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


def duplicate(network: nn.Module) -> nn.Module:
    """Copy a network.

    Args:
        network: Any network.

    Returns:
        The copy, which shares no parameter with the network.

    Raises:
        DsxError: If its own `__deepcopy__` returns something else.
    """
    twin: object = copy.deepcopy(network)
    if not isinstance(twin, nn.Module):
        raise DsxError(f"its __deepcopy__ returns a {type(twin).__name__}, not a nn.Module")
    own = {id(parameter) for parameter in network.parameters()}
    if twin is network or any(id(parameter) in own for parameter in twin.parameters()):
        raise DsxError("its __deepcopy__ returns a network that shares its weights")
    return twin


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
