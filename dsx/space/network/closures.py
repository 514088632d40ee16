"""References to modules in attributes that torch does not search: functions, containers, objects.

A copy of a network copies its modules, but not its functions: a lambda that uses `self` goes on to
use the original. Where a module is exchanged, such a reference goes on to hold the former one.
"""

import functools
import inspect
import types
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn

from dsx.torch_private import REGISTRIES

MOST_LEVELS = 12
"""Containers, objects and functions inside each other that are searched."""


class Reference(NamedTuple):
    """A reference to a module.

    Attributes:
        path: Dotted name of the attribute that holds it.
        module: The module.
        by_function: Whether a function holds it, by its closure or its defaults.
    """

    path: str
    module: nn.Module
    by_function: bool


def function_with_module(network: nn.Module) -> str | None:
    """Find a function that holds a module which is no part of the network.

    Args:
        network: Any network.

    Returns:
        The dotted name under which the function is kept; None if there is none.
    """
    parts = set(network.modules())
    for found in reference_times(network):
        if found.by_function and found.module not in parts:
            return found.path
    return None


def second_reference(network: nn.Module, name: str) -> str | None:
    """Find an attribute that holds a module of the network in addition to its place in the network.

    Args:
        network: Any network.
        name: Dotted name of the module.

    Returns:
        The dotted name of the attribute; None if there is none.
    """
    module = network.get_submodule(name)
    paths = (found.path for found in reference_times(network) if found.module is module)
    return next(paths, None)


def reference_times(network: nn.Module) -> Iterator[Reference]:
    """List the references to modules in attributes that torch does not search.

    Args:
        network: Any network.
    """
    for path, held, by_function in _attributes(network):
        if isinstance(held, nn.Module):
            yield Reference(path, held, by_function)


def attributes(network: nn.Module) -> Iterator[tuple[str, object]]:
    """List the values in attributes that torch does not search, also those inside of others.

    Args:
        network: Any network.

    Yields:
        The dotted name of the attribute, and a value in it.
    """
    return ((path, held) for path, held, _ in _attributes(network))


def _attributes(network: nn.Module) -> Iterator[tuple[str, object, bool]]:
    for path, module in network.named_modules():
        for name, value in vars(module).items():
            if name not in REGISTRIES:
                where = f"{path}.{name}" if path else name
                for held, by_function in _held(value, False, set(), 0):
                    yield where, held, by_function


def _held(
    value: object, by_function: bool, seen: set[int], level: int
) -> Iterator[tuple[object, bool]]:
    """List a value and the values inside it, and whether a function holds them."""
    if id(value) in seen or level > MOST_LEVELS:
        return
    seen.add(id(value))
    yield value, by_function
    inside = by_function or inspect.isfunction(value)
    for part in _parts(value):
        yield from _held(part, inside, seen, level + 1)


def _parts(value: object) -> list[object]:
    """List what a container, function or object holds."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset | deque):
        return list(value)
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if inspect.ismethod(value):
        return [value.__self__, value.__func__]
    if inspect.isfunction(value):
        cells = [cell for cell in value.__closure__ or () if cell != types.CellType()]
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return [*(cell.cell_contents for cell in cells), *defaults]
    # What a module holds is found where the module itself is.
    if isinstance(value, type | types.ModuleType | torch.Tensor | nn.Module):
        return []
    return list(getattr(value, "__dict__", {}).values())
