"""Selection of the options that a slot supports."""

import itertools
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from torch import nn

from dsx.conv import KEEP, ConvSpec, window_channels
from dsx.conv.sparsity.geometry import Geometry
from dsx.errors import SpecError
from dsx.space import Slot, SlotOptions
from dsx.space.dials import DIALS, DialOptions, Value
from dsx.space.options.options import fit_options, unsupported_spec
from dsx.space.options.slot_options import Fork
from tests.space.sampling import every_sample
from tests.space.slot_options import OPTIONS, PRESETS, all_slots, dials, slot_options


def options_of(
    slot: str, given: DialOptions | None, presets: Mapping[str, ConvSpec] | None = None
) -> SlotOptions:
    """Return the options of a slot."""
    return fit_options("a", "a", [all_slots()[slot]], presets or {}, given)


def options_after(slot_options: SlotOptions, dial: str, **answers: Value) -> tuple[Value, ...]:
    """Return the options of a dial after some selections."""
    tree = slot_options.dials
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
        ("even", ConvSpec(binary_basis=7), "at most 6 of 7 binary filters"),
        ("even", ConvSpec(binary_basis=12, splits=2), None),
        ("even", ConvSpec(binary_basis=13, splits=2), "at most 12 of 13 binary filters"),
    ],
)
def test_refusals_have_a_reason(slot: str, spec: ConvSpec, reason: str | None) -> None:
    found = unsupported_spec(spec, all_slots()[slot])
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert found.reason.startswith(f"{slot}: ")
        assert reason in found.reason


def test_groups_that_do_not_divide_are_left_out() -> None:
    options = options_of("twice", dials(groups=(2, 3, 5, 8), channel_stride=("block", 0.5)))
    assert options.options["groups"] == (2, 8)
    assert list(options.left_out) == ["groups 3", "groups 5"]


def test_blocks_that_do_not_divide_are_left_out_per_number_of_groups() -> None:
    options = options_of("grouped", dials(groups=(2, 8), channel_stride=("block", 1.0)))
    assert options_after(options, "channel_stride", groups=2) == ("block", 1.0)
    assert options_after(options, "channel_stride", groups=8) == ()
    assert options.left_out == {
        "groups 8, channel_stride block": "grouped: 8 groups in blocks do not divide the 12 output "
        "channels (a channel_stride of 1 or less does not require this)"
    }


def test_strides_that_leave_channels_unread_are_left_out_per_number_of_groups() -> None:
    options = options_of("dilated", dials(groups=(2, 3, 6), channel_stride=("block", 0.5, 1.0)))
    assert options_after(options, "channel_stride", groups=2) == ("block", 0.5, 1.0)
    # 3 groups in blocks do not divide 8 outputs; 6 groups have only one supported stride.
    assert options_after(options, "channel_stride", groups=3) == (0.5, 1.0)
    assert options_after(options, "channel_stride", groups=6) == ()
    assert "groups 6, channel_stride 0.5" in options.left_out
    assert "unread" in options.left_out["groups 6, channel_stride 0.5"]


def test_shapes_that_a_kernel_cannot_have_are_left_out() -> None:
    given = dials(kernel_shape=("cross", "full", "point", "learned"), groups=(1, 2))
    options = options_of("oblong", given)
    assert options.options["kernel_shape"] == ("full",)
    expected = ["kernel_shape cross", "kernel_shape point", "kernel_shape learned"]
    assert list(options.left_out) == expected


def test_shapes_that_cannot_be_learned_are_left_out() -> None:
    given = dials(kernel_shape=("full", "learned"), groups=(1, 2))
    options = options_of("parts.0", given)
    assert options.options["kernel_shape"] == ("full",)
    assert options.left_out == {
        "kernel_shape learned": "parts.0: learned shapes need a kernel larger than 1 x 1"
    }
    large = Slot(
        name="large", groups=1, bias=False, out_hw=((4, 4),),
        geometry=Geometry.of(nn.Conv2d(8, 8, 5, padding=2)),
    )  # fmt: skip
    given = dials(kernel_shape=("full", "learned"), rigid=(False, True))
    options = fit_options("a", "a", [large], {}, given)
    assert options.options["rigid"] == (False,)
    assert options.left_out == {
        "rigid true": "large: rigid learned shapes require a 3 x 3 kernel, not 5 x 5"
    }
    # If only rigid shapes are allowed, no learned shape is supported.
    options = fit_options("a", "a", [large], {}, {**given, "rigid": (True,), "groups": (1, 2)})
    assert options.options["kernel_shape"] == ("full",)


def test_splits_that_do_not_divide_the_window_are_left_out_per_number_of_groups() -> None:
    given = dials(groups=(1, 2, 4, 6), binary_basis=(4, 8), splits=(1, 2, 3))
    options = options_of("dilated", {**given, "channel_stride": (1.0,)})
    # Windows of 12, 6, 3 and 2 channels.
    splits = {
        groups: options_after(options, "splits", groups=groups, binary_basis=8)
        for groups in (1, 2, 4, 6)
    }
    assert splits == {1: (1, 2, 3), 2: (1, 2, 3), 4: (1, 3), 6: (1, 2)}
    assert options.left_out == {
        "groups 4, splits 2": "dilated: splits = 2 does not divide the window of 3 channels",
        "groups 6, splits 3": "dilated: splits = 3 does not divide the window of 2 channels",
    }
    options = options_of("dilated", dials(binary_basis=(4, 8), splits=(1, 5)))
    assert options.left_out == {
        "splits 5": "dilated: splits = 5 does not divide the window of 12 channels"
    }


def test_a_basis_with_unselectable_filters_is_left_out() -> None:
    given = dials(groups=(1, 2), binary_basis=(0, 6, 12, 20), splits=(1, 3))
    options = options_of("even", given)
    assert options.options["binary_basis"] == (0, 6, 12)
    assert options_after(options, "binary_basis", groups=1) == (0, 6, 12)
    # Windows of 3 and of 6 channels can both be divided into 3 splits.
    assert options_after(options, "splits", groups=2, binary_basis=6) == (1, 3)
    assert options_after(options, "splits", groups=2, binary_basis=12) == ()
    assert options.left_out == {
        "binary_basis 12, splits 1": "even: at most 6 of 12 binary filters can be selected",
        "binary_basis 20, splits 1": "even: at most 6 of 20 binary filters can be selected",
        "binary_basis 20, splits 3": "even: at most 18 of 20 binary filters can be selected",
    }


def test_a_separable_convolution_has_no_kernel_shape() -> None:
    given = dials(separable=(False, True), kernel_shape=("cross",), groups=(1, 2))
    options = options_of("even", given)
    assert options.options["separable"] == (True,)
    assert "kernel_shape" not in options.options


def test_equivalent_options_are_listed_once() -> None:
    options = options_of("twice", dials(groups=(8, "all", 2), channel_stride=(0.5, "1/2", 0.4)))
    assert options.options["groups"] == (8, 2)
    # A stride of 0.4 of a window of 4 is 1.6 channels, rounded up to 2, as for 0.5.
    assert options.options["channel_stride"] == (0.5,)


def test_blocks_at_least_as_large_as_the_layer_are_equivalent() -> None:
    given = dials(kernel_shape=("learned",), block_in=(64, 8, 4, 32), block_out=(16, 8, 100))
    options = options_of("twice", given)
    assert (options.options["block_in"], options.options["block_out"]) == ((64, 4), (16,))


def test_a_scale_is_sampled_if_the_rule_lists_options() -> None:
    given = dials(binary_basis=(4,))
    assert "scale" not in options_of("twice", given).options
    options = options_of("twice", {**given, "scale": (False, True)})
    assert options_after(options, "scale") == (False, True)
    for slot, scale in (("twice", True), ("parts.0", False)):
        (_, setting) = options_of(slot, given).settings()
        assert setting[slot].scale is scale


def test_a_shape_that_is_full_on_narrow_windows_is_sampled_for_wide_ones_only() -> None:
    given = dials(kernel_shape=("full", "het2"), groups=("all", 1))
    assert options_after(options_of("twice", given), "kernel_shape") == ("full", "het2")
    # One channel each: (c - o) mod 2 = 0 everywhere.
    options = options_of("twice", {**given, "groups": ("all",)})
    assert options.options["kernel_shape"] == ("full",)


def test_a_pointwise_kernel_has_one_shape_and_is_not_separable() -> None:
    given = dials(separable=(False, True), kernel_shape=("cross", "full"), groups=(1, 2))
    options = options_of("parts.0", given)
    assert (options.options["separable"], options.options["kernel_shape"]) == ((False,), ("cross",))


def test_dials_without_effect_are_not_options() -> None:
    assert options_of("twice", dials(channel_stride=("block", 0.5))).dials is None
    assert options_of("grouped", dials(groups=(4,))).dials is None
    assert options_of("parts.0", dials(kernel_shape=("cross", "point"))).dials is None
    assert options_of("parts.0", dials(binary_basis=(0,), splits=(1, 2))).dials is None
    assert options_of("parts.0", dials(kernel_shape=("cross", "point"))).options == {}


def test_dials_that_only_repeat_presets_are_not_options() -> None:
    presets = {"halves": PRESETS["halves"]}
    given = dials(kernel_shape=("full", "halves"))
    assert options_of("twice", given, presets).redesigns == ("keep", "halves")
    assert options_of("twice", {**given, "groups": (1, 2)}, presets).redesigns[2:] == ("dials",)


def test_presets_with_an_effect_are_options() -> None:
    found = options_of("twice", None, PRESETS).presets
    assert list(found) == ["scc", "depthwise", "hetconv", "group", "halves", "lhc", "slbf"]
    found = options_of("parts.0", None, PRESETS).presets
    assert list(found) == ["scc", "depthwise", "group", "slbf"]
    assert options_of("mix", None, PRESETS).redesigns == ("keep",)


def every_spec(options: DialOptions) -> Iterator[ConvSpec]:
    """Combine every option with every other one, as far as the dials allow it."""
    for values in itertools.product(*options.values()):
        given = dict(zip(options, values, strict=True))
        unused = ["kernel_shape"] * bool(given["separable"])
        if given["kernel_shape"] == "learned" and not given["separable"]:
            # Learned shapes have real weights and groups = 1; these dials are for other shapes.
            unused += ["groups", "binary_basis"]
        yield ConvSpec.from_json({name: given[name] for name in given if name not in unused})


def supported_specs(slot: Slot, options: DialOptions) -> set[ConvSpec]:
    """List by brute force the canonical specs that a slot supports."""
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
def test_options_are_complete_in_every_combination(options: DialOptions) -> None:
    for slot in all_slots().values():
        settings = options_of(slot.name, options).settings()
        assert {setting[slot.name] for setting in settings} == supported_specs(slot, options)


@given(slot_options())
def test_listed_options_occur_in_settings(options_of: SlotOptions) -> None:
    standing = {
        (dial.name, getattr(spec, dial.name))
        for spec in options_of.dial_settings()
        for dial in DIALS
        if dial.requirement.is_met(spec)
    }
    for name, listed in options_of.options.items():
        assert {(name, option) for option in listed} <= standing
    for sample, _ in every_sample(options_of.sample):
        for name, asked_for, _ in sample.questions:
            dial = name.removeprefix("rule/").partition("@")[0]
            assert dial == "redesign" or set(asked_for) <= set(options_of.options[dial])
