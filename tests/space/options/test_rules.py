"""Matching of slots by rules, and errors for rules without a match or effect."""

import pytest

from dsx.conv import ConvSpec
from tests.space.space_files import error_message, space, with_rules

SLOTS = (
    "the slots are stem.0, stages.0.conv1, stages.0.conv2, stages.1.conv1, stages.1.conv2, "
    "stages.2.conv1, stages.2.conv2"
)
TINY = "tests.space.networks:Tiny"
HALF = "tests.space.networks:half_normed"


def names(*rules: str) -> list[str]:
    """Return the names of the slot options that rules give for the plain network."""
    return [options.name for options in space(with_rules(*rules)).slot_options]


def test_the_first_rule_that_matches_wins() -> None:
    rules = ("{match: 'stages.[01].conv1', groups: 2}", "{match: '*.conv1', groups: 4}")
    found = {c.name: c.options["groups"] for c in space(with_rules(*rules)).slot_options}
    assert found == {"stages.0.conv1": (2,), "stages.1.conv1": (2,), "stages.2.conv1": (4,)}


def test_slots_without_a_rule_have_no_options() -> None:
    assert names("{match: 'stages.1.*', groups: 2}") == ["stages.1.conv1", "stages.1.conv2"]


@pytest.mark.parametrize("word", ["stages.1.conv1", "stages.?.conv1", "s*1", "*.[c]onv1"])
def test_wildcards_match_as_in_a_shell(word: str) -> None:
    found = names(f"{{match: '{word}', groups: 2}}")
    assert "stages.1.conv1" in found
    assert all(name.endswith("conv1") for name in found)


def test_wildcards_are_case_sensitive() -> None:
    assert "'STAGES.*' matches no slot" in error_message(
        with_rules("{match: 'STAGES.*', groups: 2}")
    )


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("stagse.*", " Did you mean 'stages.*'?"),
        ("stages.1.cnv1", " Did you mean 'stages.1.conv1'?"),
        ("stage.2.*", " Did you mean 'stages.2.*'?"),
        ("xyz", ""),
    ],
)
def test_a_wildcard_without_match_has_a_near_match(word: str, near: str) -> None:
    expected = f"tested.yaml:7: slots.0.match: '{word}' matches no slot ({SLOTS}).{near}"
    assert error_message(with_rules(f"{{match: '{word}', groups: 2}}")) == expected


def test_a_rule_hidden_by_earlier_rules_is_rejected() -> None:
    rules = ("{match: '*.conv1', groups: 2}", "{match: '*.conv2', groups: 2}")
    problem = error_message(with_rules(*rules, "{match: 'stages.*', groups: 4}"))
    expected = "9: slots.2.match: 'stages.*' matches only slots that an earlier rule matches"
    assert problem == f"tested.yaml:{expected}"


def test_a_network_without_convolutions_has_no_match() -> None:
    text = with_rules("{match: '*', groups: 2}", model="tests.space.networks:NoSlots")
    problem = error_message(text.replace("{width: 8}", "{}"))
    assert problem.endswith("slots.0.match: '*' matches no slot: the network has no nn.Conv2d")


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("", "all of its options are equivalent to keep"),
        (", groups: [1]", "all of its options are equivalent to keep"),
        (
            ", kernel_shape: full, groups: 1, binary_basis: 0",
            "all of its options are equivalent to keep",
        ),
        (", preset: [standard]", "all of its options are equivalent to keep"),
        (", preset: []", "all of its options are equivalent to keep"),
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
def test_a_rule_without_effect_is_rejected(rule: str, reason: str) -> None:
    problem = error_message(with_rules(f"{{match: 'stages.*'{rule}}}"))
    expected = f"7: slots.0: has no effect on stages.0.conv1 ({reason})"
    assert problem == f"tested.yaml:{expected}"


def test_a_rule_may_have_no_effect_on_one_of_its_slots() -> None:
    loaded = space(with_rules("{match: '*', groups: [2, 4]}"))
    stem = loaded.slot_options[0]
    assert (stem.name, len(stem.settings())) == ("stem.0", 1)
    assert list(stem.left_out) == ["groups 2", "groups 4"]
    assert loaded.size == 3**6


def test_slots_of_a_rule_may_share_one_setting() -> None:
    loaded = space(with_rules("{match: 'stages.*', share: rule, groups: [2, 4]}"))
    (options,) = loaded.slot_options
    assert options.name == "stages.*"
    assert loaded.size == 3
    two = {slot.name: ConvSpec(groups=2, channel_stride="block") for slot in options.slots}
    assert options.settings()[1] == two


def test_a_shared_setting_must_be_supported_by_each_slot() -> None:
    problem = error_message(with_rules("{match: '*', share: rule, groups: [2]}"))
    assert "has no effect on * (groups 2: stem.0: " in problem
    (options,) = space(
        with_rules("{match: '*', share: rule, kernel_shape: cross, groups: [1, 2]}")
    ).slot_options
    assert options.options["groups"] == (1,)
    assert len(options.slots) == 7


def test_a_shared_setting_may_have_different_canonical_forms() -> None:
    text = with_rules("{match: '*', share: rule, kernel_shape: [full, cross]}", model=TINY)
    (options,) = space(text).slot_options
    keep, cross = options.settings()
    assert [spec.keeps for spec in keep.values()] == [True, True]
    assert [spec.kernel_shape for spec in cross.values()] == ["keep", "cross"]


def test_a_shared_basis_is_scaled_slot_by_slot() -> None:
    text = with_rules("{match: '*', share: rule, preset: {slbf: {k: 2, splits: 1}}}", model=HALF)
    (options,) = space(text.replace("{width: 8}", "{}")).slot_options
    _, setting = options.settings()
    assert {name: spec.scale for name, spec in setting.items()} == {"0": False, "2": True}
