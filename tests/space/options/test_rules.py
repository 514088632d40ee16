"""Which slots a rule gets, and what is said where it gets none or leaves nothing."""

import pytest

from dsx.conv import ConvSpec
from tests.space.space_files import complaint, ruled, space

SLOTS = (
    "the slots are stem.0, stages.0.conv1, stages.0.conv2, stages.1.conv1, stages.1.conv2, "
    "stages.2.conv1, stages.2.conv2"
)
TINY = "tests.space.networks:Tiny"
HALF = "tests.space.networks:half_normed"


def names(*rules: str) -> list[str]:
    """Name the choices that rules make for the plain network."""
    return [choices.name for choices in space(ruled(*rules)).slot_options]


def test_the_first_rule_that_matches_wins() -> None:
    rules = ("{match: 'stages.[01].conv1', groups: 2}", "{match: '*.conv1', groups: 4}")
    found = {c.name: c.options["groups"] for c in space(ruled(*rules)).slot_options}
    assert found == {"stages.0.conv1": (2,), "stages.1.conv1": (2,), "stages.2.conv1": (4,)}


def test_slots_without_a_rule_stay_as_they_are() -> None:
    assert names("{match: 'stages.1.*', groups: 2}") == ["stages.1.conv1", "stages.1.conv2"]


@pytest.mark.parametrize("word", ["stages.1.conv1", "stages.?.conv1", "s*1", "*.[c]onv1"])
def test_wildcards_are_those_of_a_shell(word: str) -> None:
    found = names(f"{{match: '{word}', groups: 2}}")
    assert "stages.1.conv1" in found
    assert all(name.endswith("conv1") for name in found)


def test_wildcards_tell_large_from_small_letters() -> None:
    assert "'STAGES.*' matches no slot" in complaint(ruled("{match: 'STAGES.*', groups: 2}"))


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("stagse.*", " Did you mean 'stages.*'?"),
        ("stages.1.cnv1", " Did you mean 'stages.1.conv1'?"),
        ("stage.2.*", " Did you mean 'stages.2.*'?"),
        ("xyz", ""),
    ],
)
def test_a_wildcard_that_matches_nothing_is_named_with_a_near_one(word: str, near: str) -> None:
    expected = f"tested.yaml:7: slots.0.match: '{word}' matches no slot ({SLOTS}).{near}"
    assert complaint(ruled(f"{{match: '{word}', groups: 2}}")) == expected


def test_a_rule_in_the_shadow_of_earlier_ones_is_an_error() -> None:
    rules = ("{match: '*.conv1', groups: 2}", "{match: '*.conv2', groups: 2}")
    problem = complaint(ruled(*rules, "{match: 'stages.*', groups: 4}"))
    shadow = "9: slots.2.match: 'stages.*' matches only slots that an earlier rule has"
    assert problem == f"tested.yaml:{shadow}"


def test_a_network_without_convolutions_has_nothing_to_match() -> None:
    text = ruled("{match: '*', groups: 2}", model="tests.space.networks:NoSlots")
    problem = complaint(text.replace("{width: 8}", "{}"))
    assert problem.endswith("slots.0.match: '*' matches no slot: the network has no nn.Conv2d")


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("", "it offers no change"),
        (", groups: [1]", "it offers no change"),
        (", kernel_shape: full, groups: 1, binary_basis: 0", "it offers no change"),
        (", preset: [standard]", "it offers no change"),
        (", preset: []", "it offers no change"),
        (
            ", groups: 3",
            "groups 3: stages.0.conv1: groups = 3 does not divide the 8 input channels "
            "(allowed: 1, 2, 4, 8)",
        ),
        (
            ", groups: [3, 5, 6, 7]",
            "groups 3: stages.0.conv1: groups = 3 does not divide the 8 input channels "
            "(allowed: 1, 2, 4, 8); groups 5: stages.0.conv1: groups = 5 does not divide the 8 "
            "input channels (allowed: 1, 2, 4, 8); and 2 more",
        ),
    ],
)
def test_a_rule_that_leaves_nothing_is_an_error(rule: str, reason: str) -> None:
    problem = complaint(ruled(f"{{match: 'stages.*'{rule}}}"))
    expected = f"7: slots.0: leaves nothing to choose for stages.0.conv1 ({reason})"
    assert problem == f"tested.yaml:{expected}"


def test_a_rule_may_leave_nothing_for_one_of_its_slots() -> None:
    loaded = space(ruled("{match: '*', groups: [2, 4]}"))
    stem = loaded.slot_options[0]
    assert (stem.name, len(stem.settings())) == ("stem.0", 1)
    assert list(stem.left_out) == ["groups 2", "groups 4"]
    assert loaded.size == 3**6


def test_slots_of_a_rule_may_share_one_setting() -> None:
    loaded = space(ruled("{match: 'stages.*', share: rule, groups: [2, 4]}"))
    (choices,) = loaded.slot_options
    assert choices.name == "stages.*"
    assert loaded.size == 3
    two = {slot.name: ConvSpec(groups=2, channel_stride="block") for slot in choices.slots}
    assert choices.settings()[1] == two


def test_a_shared_setting_has_to_apply_to_each_slot() -> None:
    problem = complaint(ruled("{match: '*', share: rule, groups: [2]}"))
    assert "leaves nothing to choose for * (groups 2: stem.0: " in problem
    (choices,) = space(
        ruled("{match: '*', share: rule, kernel_shape: cross, groups: [1, 2]}")
    ).slot_options
    assert choices.options["groups"] == (1,)
    assert len(choices.slots) == 7


def test_a_shared_setting_may_mean_different_things_in_different_slots() -> None:
    text = ruled("{match: '*', share: rule, kernel_shape: [full, cross]}", model=TINY)
    (choices,) = space(text).slot_options
    keep, cross = choices.settings()
    assert [spec.keeps for spec in keep.values()] == [True, True]
    assert [spec.kernel_shape for spec in cross.values()] == ["keep", "cross"]


def test_a_shared_basis_is_scaled_slot_by_slot() -> None:
    text = ruled("{match: '*', share: rule, preset: {slbf: {k: 2, splits: 1}}}", model=HALF)
    (choices,) = space(text.replace("{width: 8}", "{}")).slot_options
    _, setting = choices.settings()
    assert {name: spec.scale for name, spec in setting.items()} == {"0": False, "2": True}
