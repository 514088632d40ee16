"""Functions that a network keeps and that hold a module which is no part of the network.

A copy of a network copies its modules, but not its functions: a lambda that uses `self` goes on to
use the original.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn


def function_with_module(network: nn.Module) -> str | None:
    """Find a function that holds a module which is no part of the network.

    Args:
        network: Any network.

    Returns:
        The dotted name under which the function is kept; None if there is none.
    """
    parts = set(network.modules())
    for path, module in network.named_modules():
        for name, value in vars(module).items():
            for function in _functions(value):
                if any(held not in parts for held in _modules_of(function)):
                    return f"{path}.{name}" if path else name
    return None


def _functions(value: object) -> Iterator[Callable[..., Any]]:
    """List the functions in an attribute, also those in a list or a dict."""
    if isinstance(value, Mapping):
        value = list(value.values())
    for item in value if isinstance(value, list | tuple | set) else [value]:
        if inspect.isfunction(item) or isinstance(item, functools.partial):
            yield item


def _modules_of(function: Callable[..., Any]) -> Iterator[nn.Module]:
    """List the modules that a function holds by its closure, defaults or bound arguments."""
    if isinstance(function, functools.partial):
        held = [function.func, *function.args, *function.keywords.values()]
    else:
        cells = inspect.getclosurevars(function).nonlocals.values()
        held = [*cells, *(function.__defaults__ or ())]
    for value in held:
        value = value.__self__ if inspect.ismethod(value) else value
        if isinstance(value, nn.Module):
            yield value
        elif inspect.isfunction(value) and value is not function:
            yield from _modules_of(value)
