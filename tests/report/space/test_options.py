"""The options of slots, as text and as JSON values."""

import json

import pytest

from dsx.conv import ConvSpec
from dsx.report.space.options import (
    OptionGroup,
    option_groups,
    unsupported_note,
    unsupported_options,
)
from dsx.space import SearchSpace
from dsx.space.space import build_space

HEAD = "model: small_cnn\nmodel_args: {width: 4}\ndata: digits\nobjectives: {params: minimize}\n"
EVERY = """\
  - match: "stages.1.conv1"
    preset: [depthwise, {scc: {groups: 2, overlap: 0.5}}, {slbf: {k: 8, splits: 1}}]
    separable: [false, true]
    kernel_shape: [full, cross, corners, het2, learned]
    groups: [1, 2, all]
    channel_stride: [block, 0.5, 1]
    binary_basis: [0, 4]
    splits: [1, 2]
    scale: [false, true]
    density: [0.25, 0.125]
    rigid: [false, true]
    block_in: [2, 32]
    block_out: [4, 16]
"""
TEXT = """\
stages.1.conv1:
  preset          depthwise: full dw
  preset          scc(groups=2, overlap=0.5): sep g2 r1/2
  preset          slbf(k=8, splits=1): full b8 s?
  separable       false, true
  kernel shape    full, cross, corners, het2, learned
  groups          1, 2, all
  channel stride  block, 0.5, 1
  binary basis    0, 4
  splits          1, 2
  scale           false, true
  density         0.25, 0.125
  rigid           false, true
  block in        2, 32
  block out       4, 16
"""


def space(*rules: str) -> SearchSpace:
    """Build a space with rules in the flow or in the block style of YAML."""
    lines = [rule if rule.startswith("  - ") else f"  - {rule}\n" for rule in rules]
    return build_space("mine", "mine.yaml", f"{HEAD}slots:\n{''.join(lines)}")


def only(*rules: str) -> OptionGroup:
    """Return the only group of a space."""
    (group,) = option_groups(space(*rules))
    return group


def titles(group: OptionGroup) -> list[str]:
    """List the titles of the rows."""
    return [title for title, _ in group.rows()]


def test_every_dial_is_written_as_in_a_space_file() -> None:
    assert only(EVERY).text(80) == TEXT.rstrip()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_lines_fit_the_width(width: int) -> None:
    for group in option_groups(space(EVERY, "{match: '*', share: rule, kernel_shape: cross}")):
        assert max(map(len, group.text(width).splitlines())) <= width
        assert not any(line.endswith(" ") for line in group.text(width).splitlines())


def test_slots_with_equal_options_are_grouped() -> None:
    group = only("{match: 'stages.*', groups: [1, 2]}")
    assert group.name == "stages.*"
    assert group.slots == [f"stages.{n}.conv{m}" for n in (0, 1, 2) for m in (1, 2)]
    found = option_groups(space("{match: '*', groups: [1, 8]}"))
    assert [group.name for group in found] == [
        "stem.0, stages.0.conv1, stages.0.conv2, stages.1.conv1",
        "stages.1.conv2, stages.2.conv1, stages.2.conv2",
    ]
    assert found[0].text(80).splitlines()[1:] == ["  keep"]


def test_rules_with_equal_options_have_separate_groups() -> None:
    rules = [f"{{match: 'stages.{n}.*', groups: [1, 2]}}" for n in (0, 1)]
    assert [group.name for group in option_groups(space(*rules))] == ["stages.0.*", "stages.1.*"]


def test_a_shared_setting_is_noted() -> None:
    group = only("{match: 'stages.*', share: rule, groups: [1, 2]}")
    assert (group.shared, len(group.slots)) == (True, 6)
    assert group.text(80).startswith("stages.*, one setting shared by all:\n")
    assert not only("{match: 'stem.0', share: rule, kernel_shape: cross}").shared


def test_dials_with_default_options_have_no_row() -> None:
    assert titles(only("{match: 'stages.*', groups: [1, 2]}")) == ["groups"]
    assert titles(only("{match: 'stages.*', kernel_shape: learned}")) == ["kernel shape", "density"]
    assert titles(only("{match: 'stages.*', preset: scc}")) == ["preset"]


def test_an_unspecified_scale_depends_on_the_next_module() -> None:
    rule = "match: 'stages.*', kernel_shape: [full, learned], binary_basis: [0, 4]"
    rows = list(only(f"{{{rule}}}").rows())
    assert rows[1:] == [
        ("binary basis", "0, 4"), ("scale", "false (BNs follow)"), ("density", "0.25")
    ]  # fmt: skip
    rows = list(only(f"{{{rule}, scale: true}}").rows())
    assert rows[2] == ("scale", "true")


def test_as_json() -> None:
    rule = "{match: 'stages.*', preset: [{ssc: {kernel_shape: row}}], binary_basis: [0, 4]}"
    group = only(rule)
    data = json.loads(json.dumps(group.to_json()))
    assert data == {
        "name": "stages.*",
        "slots": group.slots,
        "shared": False,
        "presets": {"ssc(kernel_shape=row)": ConvSpec(kernel_shape="row").to_json()},
        "dials": {
            "separable": [False], "kernel_shape": ["full"], "groups": [1], "binary_basis": [0, 4],
            "splits": [1],
        },
    }  # fmt: skip


def test_unsupported_options_have_slots_and_the_first_reason() -> None:
    found = unsupported_options(space("{match: 'stages.*', groups: [1, 2, 3, 8]}"))
    assert found == [
        (
            "stages.*",
            "groups 3",
            "stages.0.conv1: groups = 3 does not divide the 4 input channels (allowed: 1, 2, 4)",
        ),
        (
            "stages.0.conv1, stages.0.conv2, stages.1.conv1",
            "groups 8",
            "stages.0.conv1: groups = 8 does not divide the 4 input channels (allowed: 1, 2, 4)",
        ),
    ]


def test_unsupported_options_are_counted() -> None:
    assert unsupported_note(space("{match: '*', groups: [1, 2]}")) is not None
    assert unsupported_note(space("{match: 'stages.*', groups: [1, 2]}")) is None
    note = unsupported_note(space("{match: 'stages.*', groups: [1, 2, 3, 5]}"))
    assert note is not None
    assert note.startswith("note: 2 options are not supported by some slots, the first: ")
    assert (
        "the first: groups 3 (stages.0.conv1: groups = 3 does not divide " in note
        and note.endswith("; `dsx space` lists all")
    )
