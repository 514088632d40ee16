"""The notation of specs: as documented, short, and different for different specs."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from dsx.conv import KEEP, ConvSpec, notation, preset
from dsx.errors import SpecError
from tests.conv.strategies import KERNELS, KINDS, ODD_SQUARES, SHAPES, slots, specs

DIALS = Path(__file__).parents[3] / "docs" / "dials.md"
DOCUMENTED = re.findall(r"^\| `([^`{]+)` \| `(\{.*\})` \| .+ \|$", DIALS.read_text(), re.MULTILINE)
OUTSIDE = "tests.conv.sparsity.shapes.test_shapes:OUTSIDE"

NOTATIONS = [
    (ConvSpec(groups=16), 16, "full dw"),
    (ConvSpec(groups=16), 32, "full g16"),
    (ConvSpec(groups=4, channel_stride="2/3"), None, "full g4 r2/3"),
    (ConvSpec(groups=4, channel_stride=0.4), None, "full g4 r2/5"),
    (ConvSpec(channel_stride=0.5), None, "full"),
    (preset("lhc", density=0.125), None, "learned d0.125"),
    (preset("lhc", density=1), None, "learned d1"),
    (preset("lhc", block_in=8, rigid=True), 64, "learned rigid d0.25 8x16"),
    (preset("lhc", block_in=64), 32, "learned d0.25"),
    (preset("lhc", block_in=64), 16, "learned d0.25"),
    (preset("slbf", k=16, splits=1), None, "full b16 s?"),
    (preset("slbf", k=16, splits=2, scale=True), None, "full b16/2 s"),
    (preset("scc", binary_basis=8, scale=False), None, "sep g2 r1/2 b8"),
    (ConvSpec(kernel_shape=OUTSIDE), None, OUTSIDE),
]


@pytest.mark.parametrize(("spec", "in_channels", "expected"), NOTATIONS)
def test_notation(spec: ConvSpec, in_channels: int | None, expected: str) -> None:
    assert notation(spec, in_channels) == expected


@pytest.mark.parametrize(("expected", "dials"), DOCUMENTED)
def test_the_documented_table_is_right(expected: str, dials: str) -> None:
    assert notation(ConvSpec(**yaml.safe_load(dials))) == expected


def test_the_documented_table_covers_every_dial() -> None:
    given = {name for _, dials in DOCUMENTED for name in yaml.safe_load(dials)}
    assert given == ConvSpec.__dataclass_fields__.keys()
    assert "keep" in {code for code, _ in DOCUMENTED}


def test_every_shape_has_a_different_notation() -> None:
    assert len({notation(ConvSpec(kernel_shape=shape)) for shape in SHAPES}) == len(SHAPES)


def parse(text: str, slot: nn.Conv2d) -> ConvSpec:
    """Read a notation back: the canonical spec on a slot."""
    first, *codes = text.split()
    dials: dict[str, object] = {"separable": True} if first == "sep" else {"kernel_shape": first}
    if not {"keep", "learned"} & {first}:
        dials["scale"] = False
    for code in codes:
        kind, digits = code[0], code[1:]
        if code == "rigid":
            dials["rigid"] = True
        elif code == "dw":
            dials["groups"] = slot.in_channels
        elif code in ("s", "s?"):
            dials["scale"] = True if code == "s" else None
        elif kind == "g":
            dials["groups"] = int(digits)
        elif kind == "r":
            dials["channel_stride"] = digits
        elif kind == "d":
            dials["density"] = float(digits)
        elif kind == "b":
            basis, _, splits = digits.partition("/")
            dials |= {"binary_basis": int(basis), "splits": int(splits or 1)}
        else:
            inputs, _, outputs = code.partition("x")
            dials |= {"block_in": int(inputs), "block_out": int(outputs)}
    return ConvSpec(**dials).at(slot)  # type: ignore[arg-type]


@given(st.data())
def test_the_canonical_spec_can_be_read_back(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    slot = data.draw(slots(KERNELS.get(kind, ODD_SQUARES)))
    try:
        spec = data.draw(specs(slot, kind)).at(slot)
    except SpecError:
        assume(False)
    assert parse(notation(spec, slot.in_channels, slot.out_channels), slot) == spec


def test_blocks_of_the_default_size_are_left_out() -> None:
    canonical = preset("lhc").at(nn.Conv2d(16, 12, 3))
    assert (canonical.block_in, canonical.block_out) == (16, 12)
    assert notation(canonical, 16, 12) == "learned d0.25"
    assert notation(canonical, 64, 64) == "learned d0.25 16x12"


def test_an_unchanged_slot() -> None:
    assert notation(KEEP, 16, 16) == "keep"
