"""The interface of networks, and their lookup by the name in a space."""

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dsx.errors import DsxError, short, unknown
from dsx.lookup import find, load

MAX_ARGUMENT = 65_536
"""Largest integer argument of a network of dsx."""
MAX_WEIGHTS = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network.

    Args:
        build: Function from the arguments in a space to the network with initial weights; all
            arguments are optional, and include `classes` and `in_channels`.
        image_shape: Image shape of the network with default arguments: channels, height, width.
    """

    build: Callable[..., nn.Module]
    image_shape: tuple[int, int, int]


def network_builder(name: str) -> Callable[..., nn.Module]:
    """Look up the function that builds a network.

    Args:
        name: Name of a file in `dsx/nets`, or `package.module:callable` for any callable that
            returns a nn.Module.

    Returns:
        The callable.

    Raises:
        DsxError: If the network does not exist.
    """
    if ":" not in name:
        return functools.partial(_build_checked, name, find(Net, name))
    found = load(name)
    if isinstance(found, Net):
        return found.build
    if not callable(found):
        raise DsxError(f"'{name}' is a {type(found).__name__}, which is not callable")
    return found


def _build_checked(name: str, net: Net, /, **arguments: Any) -> nn.Module:
    """Build a network of dsx after checking its arguments."""
    parameters = inspect.signature(net.build).parameters
    for argument, value in arguments.items():
        if argument not in parameters:
            raise DsxError(unknown(f"argument of {name}", argument, parameters))
        _check_argument(argument, value, parameters[argument].annotation)
    if arguments:
        with torch.device("meta"):
            weights = sum(parameter.numel() for parameter in net.build(**arguments).parameters())
        if weights > MAX_WEIGHTS:
            problem = f"{name} would have {weights:,} weights"
            raise DsxError(f"{problem} with these arguments (allowed: {MAX_WEIGHTS:,})")
    return net.build(**arguments)


def _check_argument(name: str, value: object, kind: object) -> None:
    if kind is int:
        # Not isinstance, because bool is a subclass of int.
        valid = type(value) is int and 1 <= value <= MAX_ARGUMENT
        allowed = f"an integer from 1 to {MAX_ARGUMENT:,}"
    else:
        valid = isinstance(value, bool) or (value is None and kind == bool | None)
        allowed = "true, false"
    if not valid:
        given = short(json.dumps(value, default=str))
        raise DsxError(f"{name}: {given} does not fit (allowed: {allowed})")


def image_shape(name: str) -> tuple[int, int, int] | None:
    """Return the image shape of a network with its default arguments.

    Args:
        name: Name of the network, as in `network_builder`.

    Returns:
        The channels, height and width; None if the network does not specify them.

    Raises:
        DsxError: If the network does not exist.
    """
    found = load(name) if ":" in name else find(Net, name)
    return found.image_shape if isinstance(found, Net) else None
