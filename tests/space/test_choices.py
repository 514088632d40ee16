"""Drawing a setting: which questions are asked, and that every setting can be drawn."""

import itertools
from collections.abc import Hashable

from hypothesis import given, settings

from dsx.conv import KEEP, ConvSpec
from dsx.space import Choices
from dsx.space.offer import offer
from tests.space.drawing import every_draw
from tests.space.offers import PRESETS, all_slots, choices, dials


def key(setting: dict[str, ConvSpec]) -> Hashable:
    """Make a setting hashable."""
    return tuple(setting.items())


@given(choices())
@settings(max_examples=60)
def test_settings_are_what_draws_reach(offered: Choices) -> None:
    settings = [key(setting) for setting in offered.settings()]
    assert len(settings) == len(set(settings))
    assert set(settings) == {key(drawn) for _, drawn in every_draw(offered.draw)}
    assert settings[0] == key({slot.name: KEEP for slot in offered.slots})


@given(choices())
@settings(max_examples=60)
def test_settings_are_canonical(offered: Choices) -> None:
    for setting in offered.settings():
        for slot in offered.slots:
            assert setting[slot.name].at(slot) == setting[slot.name]


@given(choices())
@settings(max_examples=60)
def test_a_name_has_the_same_options_in_every_draw(offered: Choices) -> None:
    known: dict[str, tuple[object, ...]] = {}
    for asked, _ in every_draw(offered.draw):
        names = [name for name, _, _ in asked.questions]
        assert len(names) == len(set(names))
        for name, options, _ in asked.questions:
            assert name.startswith("rule/")
            assert known.setdefault(name, options) == options


@given(choices())
@settings(max_examples=60)
def test_only_what_matters_is_asked(offered: Choices) -> None:
    """Two answers to a question never lead to the same settings."""
    reached: dict[Hashable, set[Hashable]] = {}
    for asked, drawn in every_draw(offered.draw):
        answers = tuple(answer for _, _, answer in asked.questions)
        for depth in range(len(answers)):
            reached.setdefault(answers[: depth + 1], set()).add(key(drawn))
    for one, other in itertools.combinations(reached, 2):
        assert isinstance(one, tuple)
        assert isinstance(other, tuple)
        if one[:-1] == other[:-1]:
            assert reached[one] != reached[other]


def names_asked(offered: Choices, **answers: object) -> list[str]:
    """Answer some questions, else with the last option; list all that are asked."""
    asked = []

    def pick(name: str, options: object) -> object:
        asked.append(name)
        assert isinstance(options, tuple)
        return answers.get(name.rpartition("/")[2], options[-1])

    offered.draw(pick)  # type: ignore[arg-type]
    return asked


def test_questions_follow_from_what_was_answered() -> None:
    given = dials(
        separable=(False, True),
        kernel_shape=("full", "cross"),
        groups=(1, 2, 6),
        channel_stride=("block", 0.5, 1.0),
    )
    offered = offer("a.conv", [all_slots()["dilated"]], {"scc": PRESETS["scc"]}, given)
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


def test_fewer_strides_are_a_parameter_of_their_own() -> None:
    given = dials(groups=(2, 3), channel_stride=("block", 0.5, 1.0))
    offered = offer("a", [all_slots()["dilated"]], {}, given)
    # 3 groups in blocks do not divide 8 outputs.
    assert offered.strides == {2: ("block", 0.5, 1.0), 3: (0.5, 1.0)}
    assert names_asked(offered, groups=2)[-1] == "a/channel_stride"
    assert names_asked(offered, groups=3)[-1] == "a/channel_stride@groups=3"
