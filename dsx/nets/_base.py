"""What a network variant is, and how a space names one."""

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

MOST = 65_536
"""Largest number that an argument of a network of dsx may be."""
MOST_WEIGHTS = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network.

    Args:
        build: From the arguments that a space gives it to the network, with fresh weights; all
            can be left out, and `classes` and `in_channels` are among them.
        image_shape: What the network takes where no argument is given: channels, rows, columns.
    """

    build: Callable[..., nn.Module]
    image_shape: tuple[int, int, int]


def network_builder(name: str) -> Callable[..., nn.Module]:
    """Find what builds a network.

    Args:
        name: A file in `dsx/nets`, or `package.module:callable` for any callable that returns a
            nn.Module.

    Returns:
        The callable.

    Raises:
        DsxError: If there is no such network.
    """
    if ":" not in name:
        return functools.partial(_build_checked, name, find(Net, name))
    found = load(name)
    if isinstance(found, Net):
        return found.build
    if not callable(found):
        raise DsxError(f"'{name}' is a {type(found).__name__}, not something that can be called")
    return found


def _build_checked(name: str, net: Net, /, **arguments: Any) -> nn.Module:
    """Build a network of dsx, whose arguments are known, unlike those of a user's network."""
    parameters = inspect.signature(net.build).parameters
    for word, value in arguments.items():
        if word not in parameters:
            raise DsxError(unknown(f"argument of {name}", word, parameters))
        _check_argument(word, value, parameters[word].annotation)
    if arguments:
        with torch.device("meta"):
            weights = sum(parameter.numel() for parameter in net.build(**arguments).parameters())
        if weights > MOST_WEIGHTS:
            words = f"{name} would have {weights:,} weights"
            raise DsxError(f"{words} with these arguments (allowed: {MOST_WEIGHTS:,})")
    return net.build(**arguments)


def _check_argument(name: str, value: object, kind: object) -> None:
    if kind is int:
        # True is an int, too.
        fits, allowed = type(value) is int and 1 <= value <= MOST, f"an integer from 1 to {MOST:,}"
    else:
        fits = isinstance(value, bool) or (value is None and kind == bool | None)
        allowed = "true, false"
    if not fits:
        given = short(json.dumps(value, default=str))
        raise DsxError(f"{name}: {given} does not fit (allowed: {allowed})")


def image_shape(name: str) -> tuple[int, int, int] | None:
    """Say what images a network takes with its default arguments.

    Args:
        name: As `network_builder` takes it.

    Returns:
        Channels, rows, columns; None where nobody has said so.

    Raises:
        DsxError: If there is no such network.
    """
    found = load(name) if ":" in name else find(Net, name)
    return found.image_shape if isinstance(found, Net) else None
