"""What slots may become, in words and as data."""

import json

import pytest

from dsx.conv import ConvSpec
from dsx.report.space.options import Offer, left_out, left_out_note, offers
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
    """Build a space with these rules, each in YAML's braces or as its own lines."""
    lines = [rule if rule.startswith("  - ") else f"  - {rule}\n" for rule in rules]
    return build_space("mine", "mine.yaml", f"{HEAD}slots:\n{''.join(lines)}")


def only(*rules: str) -> Offer:
    """Give the one offer of a space."""
    (offer,) = offers(space(*rules))
    return offer


def titles(offer: Offer) -> list[str]:
    """List what is said of."""
    return [title for title, _ in offer.rows()]


def test_every_dial_is_written_as_in_a_space_file() -> None:
    assert only(EVERY).text(80) == TEXT.rstrip()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_lines_keep_to_the_width(width: int) -> None:
    for offer in offers(space(EVERY, "{match: '*', share: rule, kernel_shape: cross}")):
        assert max(map(len, offer.text(width).splitlines())) <= width
        assert not any(line.endswith(" ") for line in offer.text(width).splitlines())


def test_slots_that_are_offered_the_same_share_a_block() -> None:
    offer = only("{match: 'stages.*', groups: [1, 2]}")
    assert offer.name == "stages.*"
    assert offer.slots == [f"stages.{n}.conv{m}" for n in (0, 1, 2) for m in (1, 2)]
    found = offers(space("{match: '*', groups: [1, 8]}"))
    assert [offer.name for offer in found] == [
        "stem.0, stages.0.conv1, stages.0.conv2, stages.1.conv1",
        "stages.1.conv2, stages.2.conv1, stages.2.conv2",
    ]
    assert found[0].text(80).splitlines()[1:] == ["  keep"]


def test_rules_that_offer_the_same_have_blocks_of_their_own() -> None:
    rules = [f"{{match: 'stages.{n}.*', groups: [1, 2]}}" for n in (0, 1)]
    assert [offer.name for offer in offers(space(*rules))] == ["stages.0.*", "stages.1.*"]


def test_a_shared_setting_is_said_to_be_one() -> None:
    offer = only("{match: 'stages.*', share: rule, groups: [1, 2]}")
    assert (offer.shared, len(offer.slots)) == (True, 6)
    assert offer.text(80).startswith("stages.*, one setting for all:\n")
    assert not only("{match: 'stem.0', share: rule, kernel_shape: cross}").shared


def test_dials_that_are_not_turned_are_not_worth_a_line() -> None:
    assert titles(only("{match: 'stages.*', groups: [1, 2]}")) == ["groups"]
    assert titles(only("{match: 'stages.*', kernel_shape: learned}")) == ["kernel shape", "density"]
    assert titles(only("{match: 'stages.*', preset: scc}")) == ["preset"]


def test_a_scale_without_a_word_depends_on_what_follows() -> None:
    rule = "match: 'stages.*', kernel_shape: [full, learned], binary_basis: [0, 4]"
    rows = list(only(f"{{{rule}}}").rows())
    assert rows[1:] == [
        ("binary basis", "0, 4"), ("scale", "false (BNs follow)"), ("density", "0.25")
    ]  # fmt: skip
    rows = list(only(f"{{{rule}, scale: true}}").rows())
    assert rows[2] == ("scale", "true")


def test_as_plain_data() -> None:
    rule = "{match: 'stages.*', preset: [{ssc: {kernel_shape: row}}], binary_basis: [0, 4]}"
    offer = only(rule)
    data = json.loads(json.dumps(offer.to_json()))
    assert data == {
        "name": "stages.*",
        "slots": offer.slots,
        "shared": False,
        "presets": {"ssc(kernel_shape=row)": ConvSpec(kernel_shape="row").to_json()},
        "dials": {
            "separable": [False], "kernel_shape": ["full"], "groups": [1], "binary_basis": [0, 4],
            "splits": [1],
        },
    }  # fmt: skip


def test_what_is_left_out_names_the_slots_and_the_first_reason() -> None:
    found = left_out(space("{match: 'stages.*', groups: [1, 2, 3, 8]}"))
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


def test_options_that_are_left_out_are_counted() -> None:
    assert left_out_note(space("{match: '*', groups: [1, 2]}")) is not None
    assert left_out_note(space("{match: 'stages.*', groups: [1, 2]}")) is None
    note = left_out_note(space("{match: 'stages.*', groups: [1, 2, 3, 5]}"))
    assert note is not None
    assert note.startswith("note: 2 options are left out for slots that cannot take them, the fir")
    assert (
        "the first: groups 3 (stages.0.conv1: groups = 3 does not divide " in note
        and note.endswith("; `dsx space` lists all")
    )
