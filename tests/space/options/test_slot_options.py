"""Sampling of a setting: the parameters that are sampled, and that every setting is reached."""

from collections.abc import Hashable

import pytest
from hypothesis import given, settings

from dsx.conv import KEEP, ConvSpec
from dsx.space import SlotOptions
from dsx.space.dials import Value
from dsx.space.options.options import fit_options
from tests.space.sampling import every_sample
from tests.space.slot_options import PRESETS, all_slots, dials, slot_options


def key(setting: dict[str, ConvSpec]) -> Hashable:
    """Convert a setting into a hashable value."""
    return tuple(setting.items())


@given(slot_options())
@settings(max_examples=60)
def test_settings_are_those_that_samples_reach(options: SlotOptions) -> None:
    settings = [key(setting) for setting in options.settings()]
    assert len(settings) == len(set(settings))
    assert set(settings) == {key(setting) for _, setting in every_sample(options.sample)}
    assert settings[0] == key({slot.name: KEEP for slot in options.slots})


@given(slot_options())
@settings(max_examples=60)
def test_settings_are_canonical(options: SlotOptions) -> None:
    for setting in options.settings():
        for slot in options.slots:
            assert setting[slot.name].at(slot) == setting[slot.name]
            assert slot.canonical(setting[slot.name]) == setting[slot.name]


@given(slot_options())
@settings(max_examples=60)
def test_a_parameter_has_the_same_options_in_every_sample(options: SlotOptions) -> None:
    seen: dict[str, tuple[object, ...]] = {}
    for sample, _ in every_sample(options.sample):
        names = [name for name, _, _ in sample.questions]
        assert len(names) == len(set(names))
        for name, values, _ in sample.questions:
            assert name.startswith("rule/")
            assert seen.setdefault(name, values) == values


@given(slot_options())
@settings(max_examples=60)
def test_only_parameters_with_an_effect_are_sampled(options: SlotOptions) -> None:
    """Two options of a parameter never lead to the same settings."""
    reached: dict[tuple[int, ...], set[Hashable]] = {}
    for sample, setting in every_sample(options.sample):
        answers = tuple(answer for _, _, answer in sample.questions)
        for depth in range(len(answers)):
            reached.setdefault(answers[: depth + 1], set()).add(key(setting))
    following: dict[tuple[int, ...], list[frozenset[Hashable]]] = {}
    for answers, found in reached.items():
        following.setdefault(answers[:-1], []).append(frozenset(found))
    for branches in following.values():
        assert len(branches) > 1
        assert len(set(branches)) == len(branches)


def sampled_names(options: SlotOptions, **answers: object) -> list[str]:
    """Answer some questions, else with the last option; list all that are asked."""
    sample = []

    def select(name: str, options: object) -> object:
        sample.append(name)
        assert isinstance(options, tuple)
        return answers.get(name.rpartition("/")[2], options[-1])

    options.sample(select)  # type: ignore[arg-type]
    return sample


def test_sampled_parameters_depend_on_earlier_ones() -> None:
    given = dials(
        separable=(False, True),
        kernel_shape=("full", "cross"),
        groups=(1, 2, 6),
        channel_stride=("block", 0.5, 1.0),
    )
    options = fit_options("a.conv", "*", [all_slots()["dilated"]], {"scc": PRESETS["scc"]}, given)
    first = ["a.conv/redesign"]
    assert sampled_names(options, redesign="keep") == first
    assert sampled_names(options, redesign="scc") == first
    separable = [*first, "a.conv/separable", "a.conv/groups"]
    assert sampled_names(options, groups=1) == separable
    assert sampled_names(options, groups=2) == [*separable, "a.conv/channel_stride"]
    # For 6 groups only one stride reads all channels, so that it is not sampled.
    assert sampled_names(options, groups=6) == separable
    plain = [*first, "a.conv/separable", "a.conv/kernel_shape", "a.conv/groups"]
    assert sampled_names(options, separable=False, groups=1) == plain


EVERY = dials(
    separable=(False, True),
    kernel_shape=("full", "cross", "learned"),
    density=(0.25, 0.5),
    rigid=(False, True),
    block_in=(4, 64),
    block_out=(2, 16),
    groups=(1, 2),
    channel_stride=("block", 0.5),
    binary_basis=(0, 8),
    splits=(1, 2),
    scale=(False, True),
)
WINDOW = ["groups", "channel_stride"]
BASIS = ["binary_basis", "splits", "scale"]
LEARNED = ["density", "rigid", "block_in", "block_out"]


@pytest.mark.parametrize(
    ("answers", "following"),
    [
        ({"separable": True}, [*WINDOW, *BASIS]),
        ({"separable": False, "kernel_shape": "learned"}, ["kernel_shape", *LEARNED]),
        ({"separable": False, "kernel_shape": "cross"}, ["kernel_shape", *WINDOW, *BASIS]),
        ({"separable": True, "groups": 1}, ["groups", *BASIS]),
        ({"separable": True, "binary_basis": 0}, [*WINDOW, "binary_basis"]),
    ],
)
def test_a_dial_is_sampled_if_it_has_an_effect(
    answers: dict[str, Value], following: list[str]
) -> None:
    options = fit_options("a", "a", [all_slots()["twice"]], {}, EVERY)
    expected = [f"a/{name}" for name in ("redesign", "separable", *following)]
    assert sampled_names(options, **answers) == expected


def test_fewer_options_are_a_separate_parameter() -> None:
    given = dials(groups=(2, 3), channel_stride=("block", 0.5, 1.0))
    options = fit_options("a", "a", [all_slots()["dilated"]], {}, given)
    # 3 groups in blocks do not divide 8 outputs.
    assert sampled_names(options, groups=2)[-1] == "a/channel_stride"
    assert sampled_names(options, groups=3)[-1] == "a/channel_stride@0.5,1.0"


def test_fewer_splits_are_a_separate_parameter() -> None:
    given = dials(groups=(1, 2, 4), binary_basis=(8,), splits=(1, 3, 2))
    options = fit_options("a", "a", [all_slots()["dilated"]], {}, given)
    # With 12 channels, 2 groups have windows of 6 channels, and 4 groups windows of 3.
    assert sampled_names(options, groups=1)[-1] == "a/splits"
    assert sampled_names(options, groups=2)[-1] == "a/splits"
    assert sampled_names(options, groups=4)[-1] == "a/splits@1,3"


def test_learned_is_true_for_options_with_learned_shapes() -> None:
    slot = all_slots()["twice"]
    assert fit_options("a", "a", [slot], {}, EVERY).learned
    assert fit_options("a", "a", [slot], {"lhc": PRESETS["lhc"]}, None).learned
    assert not fit_options("a", "a", [slot], PRESETS | {"lhc": KEEP}, dials(groups=(1, 2))).learned
    # A pointwise kernel has no shape to be learned.
    assert not fit_options("a", "a", [all_slots()["parts.0"]], PRESETS, EVERY).learned
