"""State of a network as tensors only, including values that modules store in addition to tensors.

`get_extra_state` of a module may return any object. Values that are not tensors are stored as bytes
that `torch.load` reads without running code.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dsx.errors import DsxError, raise_out_of_memory, short, with_type

ENCODED = ":encoded"
"""Suffix of the name of a tensor whose bytes encode a value that is not a tensor."""


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of a network as tensors.

    Args:
        network: Any network.

    Returns:
        Tensors by name; the names of encoded values end in `:encoded`.

    Raises:
        DsxError: If `state_dict` of the network fails or does not return a dict, or a value cannot
            be stored.
    """
    try:
        found: Any = network.state_dict()
    # User code in state_dict() or get_extra_state(): any exception is about that.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        raise DsxError(f"its state_dict() fails: {with_type(error)}") from error
    if not isinstance(found, Mapping):
        raise DsxError(f"its state_dict() returns a {type(found).__name__}, not a dict")
    return encode(found)


def encode(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Encode the values of a state dict that are not tensors as tensors.

    Args:
        state: State dict.

    Returns:
        Tensors by name.

    Raises:
        DsxError: If a value cannot be loaded without running code.
    """
    return {
        name if isinstance(value, Tensor) else f"{name}{ENCODED}": _tensor(name, _plain(value))
        for name, value in state.items()
    }


def decode(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Convert encoded values back, as the inverse of `encode`.

    Args:
        state: Tensors by name.

    Returns:
        The state dict.
    """
    return {
        name.removesuffix(ENCODED): _value(tensor) if name.endswith(ENCODED) else tensor
        for name, tensor in state.items()
    }


def restore(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state returned by `state_of` into a network, in place.

    Args:
        network: Network to be changed.
        state: Tensors by name.

    Raises:
        RuntimeError: If the state is that of another network.
    """
    network.load_state_dict(decode(state))


def _plain(value: object) -> object:
    """Convert a number of numpy into a built-in number of Python, as which it is stored."""
    return value.item() if isinstance(value, np.number | np.bool_) else value


def _tensor(name: str, value: object) -> Tensor:
    if isinstance(value, Tensor):
        return value
    buffer = io.BytesIO()
    try:
        torch.save(value, buffer)
        found = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
        _value(found)
    # Pickling runs the code of the value, which can raise anything.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        raise DsxError(
            f"its state dict contains a {type(value).__name__} ({short(name)}), which cannot be "
            "stored safely: get_extra_state must return only tensors, numbers, strings, lists and "
            "dicts"
        ) from error
    return found


def _value(tensor: Tensor) -> object:
    content = tensor.cpu().numpy().tobytes()
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
