"""Drawing a setting: which questions are asked, and that every setting can be drawn."""

from collections.abc import Hashable

import pytest
from hypothesis import given, settings

from dsx.conv import KEEP, ConvSpec
from dsx.space import SlotOptions
from dsx.space.dials import Value
from dsx.space.options.options import offer
from tests.space.sampling import every_draw
from tests.space.slot_options import PRESETS, all_slots, choices, dials


def key(setting: dict[str, ConvSpec]) -> Hashable:
    """Make a setting hashable."""
    return tuple(setting.items())


@given(choices())
@settings(max_examples=60)
def test_settings_are_what_draws_reach(offered: SlotOptions) -> None:
    settings = [key(setting) for setting in offered.settings()]
    assert len(settings) == len(set(settings))
    assert set(settings) == {key(drawn) for _, drawn in every_draw(offered.sample)}
    assert settings[0] == key({slot.name: KEEP for slot in offered.slots})


@given(choices())
@settings(max_examples=60)
def test_settings_are_canonical(offered: SlotOptions) -> None:
    for setting in offered.settings():
        for slot in offered.slots:
            assert setting[slot.name].at(slot) == setting[slot.name]
            assert slot.canonical(setting[slot.name]) == setting[slot.name]


@given(choices())
@settings(max_examples=60)
def test_a_name_has_the_same_options_in_every_draw(offered: SlotOptions) -> None:
    known: dict[str, tuple[object, ...]] = {}
    for asked, _ in every_draw(offered.sample):
        names = [name for name, _, _ in asked.questions]
        assert len(names) == len(set(names))
        for name, options, _ in asked.questions:
            assert name.startswith("rule/")
            assert known.setdefault(name, options) == options


@given(choices())
@settings(max_examples=60)
def test_only_what_matters_is_asked(offered: SlotOptions) -> None:
    """Two answers to a question never lead to the same settings."""
    reached: dict[tuple[int, ...], set[Hashable]] = {}
    for asked, drawn in every_draw(offered.sample):
        answers = tuple(answer for _, _, answer in asked.questions)
        for depth in range(len(answers)):
            reached.setdefault(answers[: depth + 1], set()).add(key(drawn))
    after: dict[tuple[int, ...], list[frozenset[Hashable]]] = {}
    for answers, found in reached.items():
        after.setdefault(answers[:-1], []).append(frozenset(found))
    for branches in after.values():
        assert len(branches) > 1
        assert len(set(branches)) == len(branches)


def names_asked(offered: SlotOptions, **answers: object) -> list[str]:
    """Answer some questions, else with the last option; list all that are asked."""
    asked = []

    def pick(name: str, options: object) -> object:
        asked.append(name)
        assert isinstance(options, tuple)
        return answers.get(name.rpartition("/")[2], options[-1])

    offered.sample(pick)  # type: ignore[arg-type]
    return asked


def test_questions_follow_from_what_was_answered() -> None:
    given = dials(
        separable=(False, True),
        kernel_shape=("full", "cross"),
        groups=(1, 2, 6),
        channel_stride=("block", 0.5, 1.0),
    )
    offered = offer("a.conv", "*", [all_slots()["dilated"]], {"scc": PRESETS["scc"]}, given)
    first = ["a.conv/redesign"]
    assert names_asked(offered, redesign="keep") == first
    assert names_asked(offered, redesign="scc") == first
    separable = [*first, "a.conv/separable", "a.conv/groups"]
    assert names_asked(offered, groups=1) == separable
    assert names_asked(offered, groups=2) == [*separable, "a.conv/channel_stride"]
    # Of 6 groups only one stride reads all channels: nothing to ask.
    assert names_asked(offered, groups=6) == separable
    plain = [*first, "a.conv/separable", "a.conv/kernel_shape", "a.conv/groups"]
    assert names_asked(offered, separable=False, groups=1) == plain


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
    ("answers", "after"),
    [
        ({"separable": True}, [*WINDOW, *BASIS]),
        ({"separable": False, "kernel_shape": "learned"}, ["kernel_shape", *LEARNED]),
        ({"separable": False, "kernel_shape": "cross"}, ["kernel_shape", *WINDOW, *BASIS]),
        ({"separable": True, "groups": 1}, ["groups", *BASIS]),
        ({"separable": True, "binary_basis": 0}, [*WINDOW, "binary_basis"]),
    ],
)
def test_a_dial_is_asked_for_where_it_matters(answers: dict[str, Value], after: list[str]) -> None:
    offered = offer("a", "a", [all_slots()["twice"]], {}, EVERY)
    expected = [f"a/{name}" for name in ("redesign", "separable", *after)]
    assert names_asked(offered, **answers) == expected


def test_fewer_options_are_a_parameter_of_their_own() -> None:
    given = dials(groups=(2, 3), channel_stride=("block", 0.5, 1.0))
    offered = offer("a", "a", [all_slots()["dilated"]], {}, given)
    # 3 groups in blocks do not divide 8 outputs.
    assert names_asked(offered, groups=2)[-1] == "a/channel_stride"
    assert names_asked(offered, groups=3)[-1] == "a/channel_stride@0.5,1.0"


def test_fewer_splits_are_a_parameter_of_their_own() -> None:
    given = dials(groups=(1, 2, 4), binary_basis=(8,), splits=(1, 3, 2))
    offered = offer("a", "a", [all_slots()["dilated"]], {}, given)
    # Of 12 channels, 2 groups have windows of 6, and 4 groups windows of 3.
    assert names_asked(offered, groups=1)[-1] == "a/splits"
    assert names_asked(offered, groups=2)[-1] == "a/splits"
    assert names_asked(offered, groups=4)[-1] == "a/splits@1,3"


def test_learned_is_said_of_choices_that_may_be() -> None:
    slot = all_slots()["twice"]
    assert offer("a", "a", [slot], {}, EVERY).learned
    assert offer("a", "a", [slot], {"lhc": PRESETS["lhc"]}, None).learned
    assert not offer("a", "a", [slot], PRESETS | {"lhc": KEEP}, dials(groups=(1, 2))).learned
    # A kernel of one position has no shape to learn.
    assert not offer("a", "a", [all_slots()["parts.0"]], PRESETS, EVERY).learned
