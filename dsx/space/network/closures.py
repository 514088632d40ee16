"""References to modules in attributes that torch does not search: functions, containers, objects.

A deep copy of a network copies its modules, but not its functions: a lambda that uses `self` still
refers to the original. If a module is replaced, such a reference still refers to the replaced one.
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

MAX_DEPTH = 12
"""Largest nesting depth of containers, objects and functions that is searched."""


class Reference(NamedTuple):
    """Reference to a module.

    Attributes:
        path: Dotted name of the attribute that holds the reference.
        module: Module that is referred to.
        by_function: Whether a function holds the reference, in its closure or its defaults.
    """

    path: str
    module: nn.Module
    by_function: bool


def function_with_module(network: nn.Module) -> str | None:
    """Find a function that refers to a module that is not part of the network.

    Args:
        network: Any network.

    Returns:
        The dotted name of the attribute that holds the function; None if there is none.
    """
    parts = set(network.modules())
    for found in module_references(network):
        if found.by_function and found.module not in parts:
            return found.path
    return None


def second_reference(network: nn.Module, name: str) -> str | None:
    """Find an attribute that refers to a module in addition to its registration in the network.

    Args:
        network: Any network.
        name: Dotted name of the module.

    Returns:
        The dotted name of the attribute; None if there is none.
    """
    module = network.get_submodule(name)
    paths = (found.path for found in module_references(network) if found.module is module)
    return next(paths, None)


def module_references(network: nn.Module) -> Iterator[Reference]:
    """List the references to modules in attributes that torch does not search.

    Args:
        network: Any network.

    Yields:
        The references.
    """
    for path, held, by_function in _list_attributes(network):
        if isinstance(held, nn.Module):
            yield Reference(path, held, by_function)


def list_attributes(network: nn.Module) -> Iterator[tuple[str, object]]:
    """List the values of attributes that torch does not search, including nested values.

    Args:
        network: Any network.

    Returns:
        Pairs of the dotted name of an attribute and a value in it.
    """
    return ((path, held) for path, held, _ in _list_attributes(network))


def _list_attributes(network: nn.Module) -> Iterator[tuple[str, object, bool]]:
    for path, module in network.named_modules():
        for name, value in vars(module).items():
            if name not in REGISTRIES:
                where = f"{path}.{name}" if path else name
                for held, by_function in _held(value, False, set(), 0):
                    yield where, held, by_function


def _held(
    value: object, by_function: bool, seen: set[int], level: int
) -> Iterator[tuple[object, bool]]:
    """List a value and the values nested in it, each with whether a function holds it."""
    if id(value) in seen or level > MAX_DEPTH:
        return
    seen.add(id(value))
    yield value, by_function
    inside = by_function or inspect.isfunction(value)
    for part in _parts(value):
        yield from _held(part, inside, seen, level + 1)


def _parts(value: object) -> list[object]:
    """List the values that a container, function or object holds."""
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
    # The attributes of a module are searched when the module itself is visited.
    if isinstance(value, type | types.ModuleType | torch.Tensor | nn.Module):
        return []
    return list(getattr(value, "__dict__", {}).values())
