"""Random number generators of Python and numpy from which a network draws."""

import random

import numpy as np
from torch import nn

from dsx.space.probe.generators import watch_generators


def network() -> nn.Module:
    """Build a network with generators of each kind in its attributes."""
    made = nn.Sequential(nn.Identity())
    vars(made[0])["held"] = {"a": [random.Random(0)]}
    vars(made)["numpy"] = np.random.default_rng(0)
    vars(made)["legacy"] = np.random.RandomState(0)
    return made


def test_generators_that_have_drawn_are_named() -> None:
    made = network()
    with watch_generators(made) as changed:
        assert changed() == []
        vars(made[0])["held"]["a"][0].random()  # type: ignore[index]
        vars(made)["numpy"].random()
        vars(made)["legacy"].random()
        expected = ["numpy", "legacy", "0.held"]
        assert changed() == [f"the generator in '{path}'" for path in expected]


def test_the_generators_of_python_and_numpy_are_restored() -> None:
    before = random.getstate(), np.random.get_state()[2]  # type: ignore[index]
    with watch_generators(nn.Identity()) as changed:
        random.random()
        np.random.rand()
        assert changed() == ["random", "numpy.random"]
    assert before == (random.getstate(), np.random.get_state()[2])  # type: ignore[index]
