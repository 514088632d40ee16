"""Kernel shapes against loops over their definitions, and against drawings."""

import itertools

import pytest
import torch

from dsx.conv.sparsity.shapes import Shape, shape_and_number, shape_names
from dsx.errors import DsxError, SpecError
from dsx.lookup import find, names
from tests.conv import naive
from tests.conv.strategies import PLAIN_SHAPES

SIDES = [1, 3, 5, 7]
DRAWINGS = {
    "full": ["### ### ###"],
    "point": ["... .#. ..."],
    "row": ["... ### ..."],
    "column": [".#. .#. .#."],
    "diagonal": ["#.. .#. ..#"],
    "antidiagonal": ["..# .#. #.."],
    "cross": [".#. ### .#."],
    "saltire": ["#.# .#. #.#"],
    "lines": ["... ### ...", "..# .#. #..", ".#. .#. .#.", "#.. .#. ..#"],
    "corners": ["##. ##. ...", ".## .## ...", "... .## .##", "... ##. ##."],
    "halves": ["### ### ...", ".## .## .##", "... ### ###", "##. ##. ##."],
    "checker": [".#. ### .#.", "#.# .#. #.#"],
}


@pytest.mark.parametrize("k", SIDES)
@pytest.mark.parametrize("name", PLAIN_SHAPES)
def test_supports_are_boolean_squares_with_live_positions(name: str, k: int) -> None:
    supports = find(Shape, name).supports(k)
    assert supports.dtype == torch.bool
    assert supports.shape == (len(supports), k, k)
    assert bool(supports.any(2).any(1).all())


@pytest.mark.parametrize("k", SIDES)
@pytest.mark.parametrize("name", naive.RULES)
def test_supports_are_those_of_the_definition(name: str, k: int) -> None:
    supports = find(Shape, name).supports(k)
    assert len(supports) == len(naive.RULES[name])
    for number, row, column in itertools.product(range(len(supports)), range(k), range(k)):
        alive = bool(supports[number, row, column])
        assert alive == naive.alive(name, number, 0, row, column, k)


@pytest.mark.parametrize("name", DRAWINGS)
def test_supports_match_their_drawings(name: str) -> None:
    drawings = [
        " ".join("".join("#" if live else "." for live in row) for row in support)
        for support in find(Shape, name).supports(3).tolist()
    ]
    assert drawings == DRAWINGS[name]


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("p", [1, 2, 3, 4, 7])
def test_het_is_full_for_channels_that_match_the_output(p: int, k: int) -> None:
    shape, number = shape_and_number(f"het{p}")
    supports = shape.supports(k)
    outputs, channels = torch.arange(9)[:, None], torch.arange(3, 14).expand(9, 11)
    which = shape.which(outputs, channels, len(supports), number)
    for output, column in itertools.product(range(9), range(11)):
        support = supports[which[output, column]]
        assert int(support.sum()) == (k * k if (column + 3 - output) % p == 0 else 1)
        assert support[k // 2, k // 2]


@pytest.mark.parametrize("name", PLAIN_SHAPES)
def test_shapes_are_cyclic_over_the_outputs(name: str) -> None:
    shape, number = shape_and_number(name)
    n = len(shape.supports(3))
    channels = torch.arange(12).reshape(6, 2)
    which = shape.which(torch.arange(6)[:, None], channels, n, number)
    assert which.tolist() == [[output % n] * 2 for output in range(6)]


def test_shape_names_lists_all_shapes() -> None:
    assert shape_names() == [f"{name}<P>" if name == "het" else name for name in names(Shape)]


OUTSIDE = Shape(supports=lambda k: torch.ones(1, k, k, dtype=torch.bool))


def test_a_shape_can_be_defined_outside_dsx() -> None:
    assert shape_and_number(f"{__name__}:OUTSIDE") == (OUTSIDE, 0)
    with pytest.raises(DsxError, match=r"no attribute of .* called 'OUTSIDER'"):
        shape_and_number(f"{__name__}:OUTSIDER")
    with pytest.raises(DsxError, match="is a list, not a Shape"):
        shape_and_number(f"{__name__}:SIDES")


@pytest.mark.parametrize("name", ["het", "_base", "cross3", "shapes"])
def test_unknown_shapes_are_rejected(name: str) -> None:
    with pytest.raises(SpecError, match=r"no shape called|needs a number"):
        shape_and_number(name)
