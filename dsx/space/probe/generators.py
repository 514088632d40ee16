"""Random number generators of Python and numpy from which a network draws."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from torch import nn

from dsx.space.network.closures import list_attributes

_KINDS = (random.Random, np.random.Generator, np.random.RandomState)


@contextmanager
def watch_generators(network: nn.Module) -> Iterator[Callable[[], list[str]]]:
    """Watch the random number generators of Python and numpy that a network may use.

    Args:
        network: Any network; generators in its attributes are watched too.

    Yields:
        A function that lists the generators whose state has changed. The states of the global
        generators of Python and numpy are restored at the end.
    """
    python, array = random.getstate(), np.random.get_state(legacy=False)
    before = {path: (held, _state(held)) for path, held in _held(network)}

    def changed() -> list[str]:
        names = [name for name, (held, state) in before.items() if _state(held) != state]
        if random.getstate() != python:
            names.append("random")
        if str(np.random.get_state(legacy=False)) != str(array):
            names.append("numpy.random")
        return names

    try:
        yield changed
    finally:
        random.setstate(python)
        np.random.set_state(array)


def _held(network: nn.Module) -> Iterator[tuple[str, object]]:
    for path, value in list_attributes(network):
        if isinstance(value, _KINDS):
            yield f"the generator in '{path}'", value


def _state(generator: object) -> str:
    """Return the state of a generator as text, which can be compared."""
    if isinstance(generator, random.Random):
        return str(generator.getstate())
    if isinstance(generator, np.random.RandomState):
        return repr(generator.get_state(legacy=False))
    assert isinstance(generator, np.random.Generator)
    return repr(generator.bit_generator.state)
