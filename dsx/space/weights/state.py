"""The state of a network as tensors alone, including what modules keep in addition to tensors.

`get_extra_state` of a module may return anything. Values that are no tensors are stored as bytes
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
"""The end of the name of a tensor whose bytes stand for a value that is no tensor."""


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of a network as tensors.

    Args:
        network: Any network.

    Returns:
        Tensors by name; those of values that are no tensors have names that end in `:encoded`.

    Raises:
        DsxError: If its own `state_dict` returns something else, or a value cannot be stored.
    """
    try:
        found: Any = network.state_dict()
    # The user's own code, in state_dict() or get_extra_state(): any exception is about that.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        raise DsxError(f"its state_dict() fails: {with_type(error)}") from error
    if not isinstance(found, Mapping):
        raise DsxError(f"its state_dict() returns a {type(found).__name__}, not a dict")
    return encoded(found)


def encoded(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn the values of a state dict that are no tensors into tensors.

    Args:
        state: State dict.

    Returns:
        Tensors by name.

    Raises:
        DsxError: If a value cannot be read again without running code.
    """
    return {
        name if isinstance(value, Tensor) else f"{name}{ENCODED}": _tensor(name, _plain(value))
        for name, value in state.items()
    }


def decoded(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Undo `encoded`.

    Args:
        state: Tensors by name.

    Returns:
        State dict.
    """
    return {
        name.removesuffix(ENCODED): _value(tensor) if name.endswith(ENCODED) else tensor
        for name, tensor in state.items()
    }


def restore(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state that `state_of` returned into a network, in place.

    Args:
        network: The network.
        state: Tensors by name.

    Raises:
        RuntimeError: If it is the state of another network.
    """
    network.load_state_dict(decoded(state))


def _plain(value: object) -> object:
    """Convert a number of numpy, which is stored as one of Python."""
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
            f"its state dict holds a {type(value).__name__} alongside tensors ({short(name)}), "
            "which cannot be stored safely: let get_extra_state return tensors, numbers, strings, "
            "lists or dicts"
        ) from error
    return found


def _value(tensor: Tensor) -> object:
    content = tensor.cpu().numpy().tobytes()
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
