"""What of an offer applies to its slots."""

import itertools

import pytest
from hypothesis import given

from dsx.conv import KEEP, ConvSpec, window_channels
from dsx.errors import SpecError
from dsx.space.choices import Dials
from dsx.space.offer import offer, refusal
from tests.space.offers import DIALS, PRESETS, all_slots, dials


def offered(slot: str, given: Dials) -> Dials | None:
    """Give the dials that are left for a slot."""
    return offer("a", [all_slots()[slot]], {}, given).dials


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
    ],
)
def test_refusals_say_why(slot: str, spec: ConvSpec, reason: str | None) -> None:
    found = refusal(spec, all_slots()[slot])
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(f"{slot}: ")
        assert reason in found


def test_groups_that_do_not_divide_are_left_out() -> None:
    left = offer("a", [all_slots()["twice"]], {}, dials(groups=(2, 3, 5, 8)))
    assert left.dials is not None
    assert left.dials.groups == (2, 8)
    assert list(left.left_out) == [
        "groups 3, channel_stride block", "groups 5, channel_stride block"
    ]  # fmt: skip


def test_strides_that_leave_channels_unread_are_left_out_for_these_groups_only() -> None:
    given = dials(groups=(2, 6), channel_stride=("block", 0.5, 1.0))
    left = offer("a", [all_slots()["dilated"]], {}, given)
    assert left.strides == {2: ("block", 0.5, 1.0), 6: (1.0,)}
    assert "groups 6, channel_stride 0.5" in left.left_out
    assert "unread" in left.left_out["groups 6, channel_stride 0.5"]


def test_shapes_that_a_kernel_cannot_have_are_left_out() -> None:
    given = dials(kernel_shape=("cross", "full", "point"), groups=(1, 2))
    left = offer("a", [all_slots()["oblong"]], {}, given)
    assert left.dials is not None
    assert left.dials.kernel_shape == ("full",)
    assert list(left.left_out) == ["kernel_shape cross", "kernel_shape point"]


def test_a_separable_convolution_needs_no_shape() -> None:
    given = dials(separable=(False, True), kernel_shape=("cross",), groups=(1, 2))
    left = offered("even", given)
    assert left is not None
    assert (left.separable, left.kernel_shape) == ((True,), ())


def test_what_means_the_same_is_offered_once() -> None:
    left = offered("twice", dials(groups=(8, "all", 2), channel_stride=(0.5, "1/2", 0.4)))
    assert left is not None
    assert left.groups == (8, 2)
    strides = offer(
        "a", [all_slots()["twice"]], {}, dials(groups=(2, 8), channel_stride=(0.5, "1/2", 0.4))
    ).strides
    # 0.4 of a window of 4 is 1.6 channels, rounded up to the 2 that 0.5 is.
    assert strides == {2: (0.5,), 8: (0.5,)}


def test_a_pointwise_kernel_has_one_shape_and_nothing_to_separate() -> None:
    given = dials(separable=(False, True), kernel_shape=("cross", "full"), groups=(1, 2))
    left = offered("parts.0", given)
    assert left is not None
    assert (left.separable, left.kernel_shape) == ((False,), ("cross",))


def test_dials_that_change_nothing_are_not_offered() -> None:
    assert offered("twice", dials(channel_stride=("block", 0.5))) is None
    assert offered("grouped", dials(groups=(4,))) is None
    assert offered("parts.0", dials(kernel_shape=("cross", "point"))) is None


def test_presets_are_offered_where_they_change_something() -> None:
    found = offer("a", [all_slots()["twice"]], PRESETS, None).presets
    assert list(found) == ["scc", "depthwise", "hetconv", "group", "halves"]
    found = offer("a", [all_slots()["parts.0"]], PRESETS, None).presets
    assert list(found) == ["scc", "depthwise", "group"]
    assert offer("a", [all_slots()["mix"]], PRESETS, None).uses == ("keep",)


@given(DIALS)
def test_what_is_left_is_what_applies_in_every_combination(given: Dials) -> None:
    for slot in all_slots().values():
        applying = set()
        for separable, shape, groups, stride in itertools.product(
            given.separable, given.kernel_shape, given.groups, given.channel_stride
        ):
            spec = ConvSpec(
                separable=separable,
                kernel_shape="full" if separable else shape,
                groups=groups,
                channel_stride=stride,
            )
            try:
                at = spec.at(slot)
            except SpecError:
                continue
            window = window_channels(
                slot.in_channels,
                slot.out_channels,
                slot.groups if at.keeps else int(at.groups),
                at.channel_stride or "block",
            )
            if len(set(window.flatten().tolist())) == slot.in_channels or at.keeps:
                applying.add(at)
        settings = offer("a", [slot], {}, given).settings()
        assert {setting[slot.name] for setting in settings} == applying | {KEEP}
