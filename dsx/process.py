"""Process-wide settings that dsx changes, each in a context that restores the previous value.

A caller of dsx from Python finds the process unchanged afterwards, even after an exception.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Set the number of threads that torch uses inside one operator.

    Args:
        number: Number of threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def default_environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable unless it is already set.

    Args:
        name: Name of the variable.
        value: Value of the variable if it is not set.
    """
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


@contextmanager
def restored_environment() -> Iterator[None]:
    """Restore all environment variables at the end, regardless of changes by libraries."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def without_module(name: str) -> Iterator[None]:
    """Make the import of a module fail as if it were not installed, unless it is already imported.

    Args:
        name: Dotted name of the module.
    """
    if name in sys.modules:
        yield
        return
    # The import system raises ImportError for an entry that is None.
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(name, None)
