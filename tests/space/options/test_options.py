"""What of an offer applies to its slots."""

import itertools
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from torch import nn

from dsx.conv import KEEP, ConvSpec, window_channels
from dsx.conv.sparsity.geometry import Geometry
from dsx.errors import SpecError
from dsx.space import Choices, Slot
from dsx.space.dials import DIALS, Options, Value
from dsx.space.options.choices import Fork
from dsx.space.options.options import offer, unsupported_spec
from tests.space.drawing import every_draw
from tests.space.offers import OPTIONS, PRESETS, all_slots, choices, dials


def offered(
    slot: str, given: Options | None, presets: Mapping[str, ConvSpec] | None = None
) -> Choices:
    """Give what is left for a slot."""
    return offer("a", "a", [all_slots()[slot]], presets or {}, given)


def asked(choices: Choices, dial: str, **answers: Value) -> tuple[Value, ...]:
    """Give the options of a dial after some answers."""
    tree = choices.dials
    while isinstance(tree, Fork) and tree.dial != dial:
        tree = tree.branches[answers[tree.dial]]
    return tuple(tree.branches) if isinstance(tree, Fork) else ()


@pytest.mark.parametrize(
    ("slot", "spec", "reason"),
    [
        ("twice", ConvSpec(groups=3), "groups = 3 does not divide the 8 input channels"),
        ("grouped", ConvSpec(groups=8), "8 groups in blocks do not divide the 12 output channels"),
        ("grouped", ConvSpec(groups=8, channel_stride=1), None),
        ("oblong", ConvSpec(kernel_shape="cross"), "needs an odd square kernel, this one is 1 x 5"),
        ("even", ConvSpec(kernel_shape="lines"), "needs an odd square kernel, this one is 2 x 2"),
        ("dilated", ConvSpec(groups=6, channel_stride=0.5), "leaves 3 of 12 channels unread"),
        ("dilated", ConvSpec(groups=6, channel_stride=1), None),
        ("oblong", ConvSpec(groups="all", channel_stride=1), "leaves 2 of 8 channels unread"),
        ("parts.0", ConvSpec(kernel_shape="cross", separable=True), None),
        ("twice", KEEP, None),
        ("parts.0", ConvSpec(kernel_shape="learned"), "need a kernel larger than 1 x 1"),
        ("even", ConvSpec(kernel_shape="learned"), "needs an odd square kernel, this one is 2 x 2"),
        ("twice", ConvSpec(kernel_shape="learned", rigid=True), None),
        ("grouped", ConvSpec(kernel_shape="learned"), None),
        ("dilated", ConvSpec(groups=4, binary_basis=4, splits=2), "of 3 channels"),
        ("dilated", ConvSpec(groups=4, splits=2), None),
        ("even", ConvSpec(binary_basis=6), None),
        ("even", ConvSpec(binary_basis=7), "of 7 binary filters only 6 can ever be chosen"),
        ("even", ConvSpec(binary_basis=12, splits=2), None),
        ("even", ConvSpec(binary_basis=13, splits=2), "of 13 binary filters only 12 can ever"),
    ],
)
def test_refusals_say_why(slot: str, spec: ConvSpec, reason: str | None) -> None:
    found = unsupported_spec(spec, all_slots()[slot])
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert found.reason.startswith(f"{slot}: ")
        assert reason in found.reason


def test_groups_that_do_not_divide_are_left_out() -> None:
    left = offered("twice", dials(groups=(2, 3, 5, 8), channel_stride=("block", 0.5)))
    assert left.options["groups"] == (2, 8)
    assert list(left.left_out) == ["groups 3", "groups 5"]


def test_blocks_that_do_not_divide_are_left_out_for_these_groups_only() -> None:
    left = offered("grouped", dials(groups=(2, 8), channel_stride=("block", 1.0)))
    assert asked(left, "channel_stride", groups=2) == ("block", 1.0)
    assert asked(left, "channel_stride", groups=8) == ()
    assert left.left_out == {
        "groups 8, channel_stride block": "grouped: 8 groups in blocks do not divide the 12 output "
        "channels (a channel_stride of 1 or less needs no such thing)"
    }


def test_strides_that_leave_channels_unread_are_left_out_for_these_groups_only() -> None:
    left = offered("dilated", dials(groups=(2, 3, 6), channel_stride=("block", 0.5, 1.0)))
    assert asked(left, "channel_stride", groups=2) == ("block", 0.5, 1.0)
    # 3 groups in blocks do not divide 8 outputs; of 6 groups only one stride is left.
    assert asked(left, "channel_stride", groups=3) == (0.5, 1.0)
    assert asked(left, "channel_stride", groups=6) == ()
    assert "groups 6, channel_stride 0.5" in left.left_out
    assert "unread" in left.left_out["groups 6, channel_stride 0.5"]


def test_shapes_that_a_kernel_cannot_have_are_left_out() -> None:
    given = dials(kernel_shape=("cross", "full", "point", "learned"), groups=(1, 2))
    left = offered("oblong", given)
    assert left.options["kernel_shape"] == ("full",)
    expected = ["kernel_shape cross", "kernel_shape point", "kernel_shape learned"]
    assert list(left.left_out) == expected


def test_shapes_that_cannot_be_learned_are_left_out() -> None:
    given = dials(kernel_shape=("full", "learned"), groups=(1, 2))
    left = offered("parts.0", given)
    assert left.options["kernel_shape"] == ("full",)
    assert left.left_out == {
        "kernel_shape learned": "parts.0: learned shapes need a kernel larger than 1 x 1"
    }
    large = Slot(
        name="large", groups=1, bias=False, out_hw=((4, 4),),
        geometry=Geometry.of(nn.Conv2d(8, 8, 5, padding=2)),
    )  # fmt: skip
    given = dials(kernel_shape=("full", "learned"), rigid=(False, True))
    left = offer("a", "a", [large], {}, given)
    assert left.options["rigid"] == (False,)
    assert left.left_out == {
        "rigid true": "large: rigid learned shapes are 3 x 3, this kernel is 5 x 5"
    }
    # Where only rigid shapes are wanted there is nothing to learn.
    left = offer("a", "a", [large], {}, {**given, "rigid": (True,), "groups": (1, 2)})
    assert left.options["kernel_shape"] == ("full",)


def test_splits_that_do_not_divide_the_window_are_left_out_for_these_groups_only() -> None:
    given = dials(groups=(1, 2, 4, 6), binary_basis=(4, 8), splits=(1, 2, 3))
    left = offered("dilated", {**given, "channel_stride": (1.0,)})
    # Windows of 12, 6, 3 and 2 channels.
    splits = {
        groups: asked(left, "splits", groups=groups, binary_basis=8) for groups in (1, 2, 4, 6)
    }
    assert splits == {1: (1, 2, 3), 2: (1, 2, 3), 4: (1, 3), 6: (1, 2)}
    assert left.left_out == {
        "groups 4, splits 2": "dilated: splits = 2 does not divide the window of 3 channels",
        "groups 6, splits 3": "dilated: splits = 3 does not divide the window of 2 channels",
    }
    left = offered("dilated", dials(binary_basis=(4, 8), splits=(1, 5)))
    assert left.left_out == {
        "splits 5": "dilated: splits = 5 does not divide the window of 12 channels"
    }


def test_a_basis_of_more_filters_than_can_be_chosen_is_left_out() -> None:
    given = dials(groups=(1, 2), binary_basis=(0, 6, 12, 20), splits=(1, 3))
    left = offered("even", given)
    assert left.options["binary_basis"] == (0, 6, 12)
    assert asked(left, "binary_basis", groups=1) == (0, 6, 12)
    # A window of 3 channels has 3 pieces, one of 6 has them too.
    assert asked(left, "splits", groups=2, binary_basis=6) == (1, 3)
    assert asked(left, "splits", groups=2, binary_basis=12) == ()
    assert left.left_out == {
        "binary_basis 12, splits 1": "even: of 12 binary filters only 6 can ever be chosen",
        "binary_basis 20, splits 1": "even: of 20 binary filters only 6 can ever be chosen",
        "binary_basis 20, splits 3": "even: of 20 binary filters only 18 can ever be chosen",
    }


def test_a_separable_convolution_needs_no_shape() -> None:
    given = dials(separable=(False, True), kernel_shape=("cross",), groups=(1, 2))
    left = offered("even", given)
    assert left.options["separable"] == (True,)
    assert "kernel_shape" not in left.options


def test_what_means_the_same_is_offered_once() -> None:
    left = offered("twice", dials(groups=(8, "all", 2), channel_stride=(0.5, "1/2", 0.4)))
    assert left.options["groups"] == (8, 2)
    # 0.4 of a window of 4 is 1.6 channels, rounded up to the 2 that 0.5 is.
    assert left.options["channel_stride"] == (0.5,)


def test_blocks_as_large_as_the_layer_mean_the_same() -> None:
    given = dials(kernel_shape=("learned",), block_in=(64, 8, 4, 32), block_out=(16, 8, 100))
    left = offered("twice", given)
    assert (left.options["block_in"], left.options["block_out"]) == ((64, 4), (16,))


def test_a_scale_is_asked_for_though_a_slot_decides_without_a_word() -> None:
    given = dials(binary_basis=(4,))
    assert "scale" not in offered("twice", given).options
    left = offered("twice", {**given, "scale": (False, True)})
    assert asked(left, "scale") == (False, True)
    for slot, scale in (("twice", True), ("parts.0", False)):
        (_, setting) = offered(slot, given).settings()
        assert setting[slot].scale is scale


def test_a_shape_that_a_narrow_window_makes_full_is_asked_for_with_wide_ones_only() -> None:
    given = dials(kernel_shape=("full", "het2"), groups=("all", 1))
    assert asked(offered("twice", given), "kernel_shape") == ("full", "het2")
    # One channel each: (c - o) mod 2 = 0 everywhere.
    left = offered("twice", {**given, "groups": ("all",)})
    assert left.options["kernel_shape"] == ("full",)


def test_a_pointwise_kernel_has_one_shape_and_nothing_to_separate() -> None:
    given = dials(separable=(False, True), kernel_shape=("cross", "full"), groups=(1, 2))
    left = offered("parts.0", given)
    assert (left.options["separable"], left.options["kernel_shape"]) == ((False,), ("cross",))


def test_dials_that_change_nothing_are_not_offered() -> None:
    assert offered("twice", dials(channel_stride=("block", 0.5))).dials is None
    assert offered("grouped", dials(groups=(4,))).dials is None
    assert offered("parts.0", dials(kernel_shape=("cross", "point"))).dials is None
    assert offered("parts.0", dials(binary_basis=(0,), splits=(1, 2))).dials is None
    assert offered("parts.0", dials(kernel_shape=("cross", "point"))).options == {}


def test_dials_that_say_no_more_than_the_presets_are_not_offered() -> None:
    presets = {"halves": PRESETS["halves"]}
    given = dials(kernel_shape=("full", "halves"))
    assert offered("twice", given, presets).uses == ("keep", "halves")
    assert offered("twice", {**given, "groups": (1, 2)}, presets).uses[2:] == ("dials",)


def test_presets_are_offered_where_they_change_something() -> None:
    found = offered("twice", None, PRESETS).presets
    assert list(found) == ["scc", "depthwise", "hetconv", "group", "halves", "lhc", "slbf"]
    found = offered("parts.0", None, PRESETS).presets
    assert list(found) == ["scc", "depthwise", "group", "slbf"]
    assert offered("mix", None, PRESETS).uses == ("keep",)


def every_spec(options: Options) -> Iterator[ConvSpec]:
    """Combine every option with every other, as far as the dials do not contradict."""
    for values in itertools.product(*options.values()):
        given = dict(zip(options, values, strict=True))
        unused = ["kernel_shape"] * bool(given["separable"])
        if given["kernel_shape"] == "learned" and not given["separable"]:
            # Real weights, groups = 1: the dials that say otherwise are for other shapes.
            unused += ["groups", "binary_basis"]
        yield ConvSpec.from_json({name: given[name] for name in given if name not in unused})


def applying(slot: Slot, options: Options) -> set[ConvSpec]:
    """List by brute force what a slot can become."""
    found = {KEEP}
    for spec in every_spec(options):
        try:
            at = slot.canonical(spec)
        except SpecError:
            continue
        if at.keeps:
            continue
        groups, stride = int(at.groups), at.channel_stride or "block"
        window = window_channels(slot.in_channels, slot.out_channels, groups, stride)
        read = len(set(window.flatten().tolist())) == slot.in_channels
        if read and at.binary_basis <= slot.out_channels * at.splits:
            found.add(at)
    return found


@given(OPTIONS)
def test_what_is_left_is_what_applies_in_every_combination(options: Options) -> None:
    for slot in all_slots().values():
        settings = offered(slot.name, options).settings()
        assert {setting[slot.name] for setting in settings} == applying(slot, options)


@given(choices())
def test_what_is_listed_is_what_can_be_turned(offered: Choices) -> None:
    standing = {
        (dial.name, getattr(spec, dial.name))
        for spec in offered.turned()
        for dial in DIALS
        if dial.need.met(spec)
    }
    for name, listed in offered.options.items():
        assert {(name, option) for option in listed} <= standing
    for sample, _ in every_draw(offered.sample):
        for name, asked_for, _ in sample.questions:
            dial = name.removeprefix("rule/").partition("@")[0]
            assert dial == "redesign" or set(asked_for) <= set(offered.options[dial])
