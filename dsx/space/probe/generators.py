"""Generators of random numbers of Python and numpy, and which of them a network draws from."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from torch import nn

from dsx.space.network.closures import attributes

_KINDS = (random.Random, np.random.Generator, np.random.RandomState)


@contextmanager
def generators_of(network: nn.Module) -> Iterator[Callable[[], list[str]]]:
    """Watch the generators from which a network can draw other than by operators of torch.

    Args:
        network: Any network; the generators that it holds in attributes are watched too.

    Yields:
        A function that names those of which the state has changed. The states of Python's own and
        numpy's own generator are restored at the end.
    """
    python, array = random.getstate(), np.random.get_state(legacy=False)
    before = {path: (held, _state(held)) for path, held in _held(network)}

    def drawn() -> list[str]:
        named = [name for name, (held, state) in before.items() if _state(held) != state]
        if random.getstate() != python:
            named.append("random")
        if str(np.random.get_state(legacy=False)) != str(array):
            named.append("numpy.random")
        return named

    try:
        yield drawn
    finally:
        random.setstate(python)
        np.random.set_state(array)


def _held(network: nn.Module) -> Iterator[tuple[str, object]]:
    for path, value in attributes(network):
        if isinstance(value, _KINDS):
            yield f"the generator in '{path}'", value


def _state(generator: object) -> str:
    """Write the state of a generator as text, which can be compared."""
    if isinstance(generator, random.Random):
        return str(generator.getstate())
    if isinstance(generator, np.random.RandomState):
        return repr(generator.get_state(legacy=False))
    assert isinstance(generator, np.random.Generator)
    return repr(generator.bit_generator.state)
