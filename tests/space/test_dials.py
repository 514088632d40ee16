"""The conditions under which each dial has an effect."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.conv import ConvSpec
from dsx.errors import SpecError
from dsx.space.dials import DIALS, DialOptions, set_dial
from dsx.space.yaml.schema import Rule
from tests.space.slot_options import OPTIONS, all_slots, dials

NAMES = [dial.name for dial in DIALS]


def test_there_is_a_dial_for_each_field_of_a_spec() -> None:
    assert sorted(NAMES) == sorted(field.name for field in dataclasses.fields(ConvSpec))
    assert len(set(NAMES)) == len(NAMES)
    assert set(NAMES) <= set(Rule.model_fields)


def test_a_rule_without_dials_has_the_defaults_of_a_spec() -> None:
    twice = all_slots()["twice"]
    for kernel_shape in ("full", "learned"):
        options = Rule(match="*").options
        spec = ConvSpec(kernel_shape=kernel_shape)
        for dial in DIALS:
            if (
                dial.name != "kernel_shape"
                and dial.requirement.is_met(spec)
                and dial.name in options
            ):
                (only,) = options[dial.name]
                spec = set_dial(spec, dial.name, only)
        assert spec.at(twice) == ConvSpec(kernel_shape=kernel_shape).at(twice)


@given(OPTIONS, st.data())
def test_a_dial_whose_requirement_is_not_met_has_no_effect(
    options: DialOptions, data: st.DataObject
) -> None:
    slot = all_slots()[data.draw(st.sampled_from(sorted(all_slots())))]
    spec = ConvSpec()
    for dial in DIALS:
        if dial.requirement.is_met(spec):
            spec = set_dial(spec, dial.name, data.draw(st.sampled_from(dial.values(options))))
    for dial in DIALS:
        for option in () if dial.requirement.is_met(spec) else dial.values(options):
            try:
                other = set_dial(spec, dial.name, option).at(slot)
            except SpecError:
                continue
            assert other == spec.at(slot), dial.name


def reached(options: DialOptions, name: str) -> bool:
    """Check by brute force whether a dial has an effect in some combination of options."""
    (dial,) = (dial for dial in DIALS if dial.name == name)
    for values in itertools.product(*(each.values(options) for each in DIALS)):
        given = dict(zip(NAMES, values, strict=True))
        spec = ConvSpec()
        for each in DIALS[: DIALS.index(dial)]:
            spec = (
                set_dial(spec, each.name, given[each.name])
                if each.requirement.is_met(spec)
                else spec
            )
        if dial.requirement.is_met(spec):
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
def test_a_dial_has_an_effect_if_some_setting_meets_its_requirement(options: DialOptions) -> None:
    for dial in DIALS:
        assert dial.has_effect(options) == reached(options, dial.name), dial.name


def test_dials_with_an_effect() -> None:
    matter = {
        "plain": dials(),
        "window": dials(groups=(1, 2)),
        "binary": dials(binary_basis=(0, 4)),
        "learned": dials(kernel_shape=("learned",)),
        "separable": dials(separable=(True,), kernel_shape=("learned",)),
    }
    names = {
        label: [d.name for d in DIALS if d.has_effect(given)] for label, given in matter.items()
    }
    plain = ["separable", "kernel_shape", "groups", "binary_basis"]
    assert names == {
        "plain": plain,
        "window": [*plain[:3], "channel_stride", plain[3]],
        "binary": [*plain, "splits", "scale"],
        "learned": [*plain[:2], "density", "rigid", "block_in", "block_out"],
        "separable": ["separable", "groups", "binary_basis"],
    }
