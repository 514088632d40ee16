"""When each dial matters."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.conv import ConvSpec
from dsx.errors import SpecError
from dsx.space.dials import DIALS, DialOptions, turn
from dsx.space.yaml.schema import Rule
from tests.space.slot_options import OPTIONS, all_slots, dials

NAMES = [dial.name for dial in DIALS]


def test_there_is_a_dial_for_everything_that_a_spec_says() -> None:
    assert sorted(NAMES) == sorted(field.name for field in dataclasses.fields(ConvSpec))
    assert len(set(NAMES)) == len(NAMES)
    assert set(NAMES) <= set(Rule.model_fields)


def test_a_rule_that_turns_nothing_has_the_dials_of_a_spec() -> None:
    twice = all_slots()["twice"]
    for kernel_shape in ("full", "learned"):
        options = Rule(match="*").options
        turned = ConvSpec(kernel_shape=kernel_shape)
        for dial in DIALS:
            if dial.name != "kernel_shape" and dial.need.met(turned) and dial.name in options:
                (only,) = options[dial.name]
                turned = turn(turned, dial.name, only)
        assert turned.at(twice) == ConvSpec(kernel_shape=kernel_shape).at(twice)


@given(OPTIONS, st.data())
def test_a_dial_that_does_not_matter_changes_nothing(
    options: DialOptions, data: st.DataObject
) -> None:
    slot = all_slots()[data.draw(st.sampled_from(sorted(all_slots())))]
    spec = ConvSpec()
    for dial in DIALS:
        if dial.need.met(spec):
            spec = turn(spec, dial.name, data.draw(st.sampled_from(dial.offered(options))))
    for dial in DIALS:
        for option in () if dial.need.met(spec) else dial.offered(options):
            try:
                other = turn(spec, dial.name, option).at(slot)
            except SpecError:
                continue
            assert other == spec.at(slot), dial.name


def reached(options: DialOptions, name: str) -> bool:
    """Try every combination of the dials for one in which a dial matters."""
    (dial,) = (dial for dial in DIALS if dial.name == name)
    for values in itertools.product(*(each.offered(options) for each in DIALS)):
        given = dict(zip(NAMES, values, strict=True))
        spec = ConvSpec()
        for each in DIALS[: DIALS.index(dial)]:
            spec = turn(spec, each.name, given[each.name]) if each.need.met(spec) else spec
        if dial.need.met(spec):
            return True
    return False


@pytest.mark.parametrize(
    "options",
    [
        dials(),
        dials(kernel_shape=("learned",)),
        dials(kernel_shape=("full", "learned")),
        dials(kernel_shape=("learned",), separable=(False, True), groups=(1, 2)),
        dials(kernel_shape=("learned",), separable=(True,)),
        dials(groups=(1, "all")),
        dials(groups=(2,), binary_basis=(0, 0)),
        dials(binary_basis=(0, 4)),
        dials(binary_basis=(4,), kernel_shape=("learned", "cross")),
        dials(binary_basis=(4,), kernel_shape=("learned",)),
        {},
        {"binary_basis": (4,)},
    ],
)
def test_a_dial_matters_where_some_setting_of_those_before_says_so(options: DialOptions) -> None:
    for dial in DIALS:
        assert dial.matters(options) == reached(options, dial.name), dial.name


def test_the_dials_that_matter() -> None:
    matter = {
        "plain": dials(),
        "window": dials(groups=(1, 2)),
        "binary": dials(binary_basis=(0, 4)),
        "learned": dials(kernel_shape=("learned",)),
        "separable": dials(separable=(True,), kernel_shape=("learned",)),
    }
    names = {label: [d.name for d in DIALS if d.matters(given)] for label, given in matter.items()}
    plain = ["separable", "kernel_shape", "groups", "binary_basis"]
    assert names == {
        "plain": plain,
        "window": [*plain[:3], "channel_stride", plain[3]],
        "binary": [*plain, "splits", "scale"],
        "learned": [*plain[:2], "density", "rigid", "block_in", "block_out"],
        "separable": ["separable", "groups", "binary_basis"],
    }
