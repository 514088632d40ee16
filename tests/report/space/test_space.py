"""The content of a space, as table, JSON and CSV."""

import json

import pytest

from dsx.data import Contents
from dsx.data._contents import SplitContents
from dsx.report.space.options import option_groups
from dsx.report.space.space import print_space, slot_rows
from dsx.space import SearchSpace
from dsx.space.space import build_space

TEXT = """
model: small_cnn
model_args: {width: 4}
data: digits
slots:
  - {match: "stages.0.*", share: rule, kernel_shape: [cross, point], groups: [1, 2, 3]}
  - {match: "stages.1.conv1", kernel_shape: [corners], preset: [depthwise]}
objectives: {params: minimize}
constraints: {flops: "<= 90%", bits: "<= 1", accuracy: ">= 0.5"}
"""


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return build_space("mine", "mine.yaml", TEXT)


def test_a_row_per_slot(space: SearchSpace) -> None:
    rows = slot_rows(space)
    assert [row["slot"] for row in rows] == [slot.name for slot in space.analysis.slots]
    stem, first, *_ = rows
    assert stem == {
        "slot": "stem.0", "channels": "1 -> 4", "kernel": "3 x 3", "stride": "1 x 1", "groups": 1,
        "output": "8 x 8", "params": 36, "flops": 2304, "choices": 1, "dials": "",
    }  # fmt: skip
    assert (first["choices"], first["dials"]) == (5, "stages.0.*")


def test_without_shared_settings_there_is_no_column_for_them() -> None:
    alone = build_space("mine", "mine.yaml", TEXT.replace("share: rule", "share: none"))
    assert all("dials" not in row for row in slot_rows(alone))


@pytest.fixture(scope="module")
def learned() -> SearchSpace:
    rule = "kernel_shape: [full, learned], density: [0.5], binary_basis: [0, 8]"
    return build_space("mine", "mine.yaml", TEXT.replace("kernel_shape: [corners]", rule))


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_table(
    space: SearchSpace,
    columns: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_space(space, {"bits": "no design can meet this"}, "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"mine: small_cnn on digits, {space.size} designs"
    table = lines[1 : 2 + next(n for n, line in enumerate(lines[2:]) if line.startswith("params"))]
    assert max(map(len, table)) <= columns
    assert "constraint flops <= 90%: can be met" in lines
    assert "constraint bits <= 1: no design can meet this" in lines
    assert "constraint accuracy >= 0.5: known after measuring" in lines
    unsupported = [
        line for line in lines if line.startswith("not supported for stages.0.*: groups 3")
    ]
    assert len(unsupported) == 1 and "(" in unsupported[0]
    (params,) = (line for line in lines if line.startswith("params: baseline "))
    least, most = space.cost_range()
    baseline = space.cost(space.baseline).params
    assert f"({least.params / baseline:.1%})" in params
    assert f"({most.params / baseline:.1%})" in params


def test_the_options_of_slots(space: SearchSpace, capsys: pytest.CaptureFixture[str]) -> None:
    print_space(space, {}, "table")
    out = capsys.readouterr().out
    assert (
        "stages.0.*, one setting shared by all:\n"
        "  kernel shape  cross, point\n"
        "  groups        1, 2\n"
        "stages.1.conv1:\n"
        "  preset        depthwise: full dw\n"
        "  kernel shape  corners\n"
        "params: "
    ) in out


def test_costs_of_learned_shapes_are_marked(
    space: SearchSpace, learned: SearchSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = "(expected for learned shapes: counted at their target density)"
    for shown, expected in ((space, False), (learned, True)):
        print_space(shown, {}, "table")
        assert (mark in capsys.readouterr().out.splitlines()) is expected
        print_space(shown, {}, "json")
        cost = json.loads(capsys.readouterr().out)["cost"]
        marks = {name: numbers["expected"] for name, numbers in cost.items()}
        assert marks == {"baseline": False, "least": expected, "most": expected}


def test_an_option_that_several_slots_do_not_support_is_listed_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone = build_space("mine", "mine.yaml", TEXT.replace("share: rule", "share: none"))
    print_space(alone, {}, "table")
    lines = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("not supported")
    ]
    assert len(lines) == 1
    assert lines[0].startswith("not supported for stages.0.*: groups 3 (stages.0.conv1: ")


def test_as_json(space: SearchSpace, capsys: pytest.CaptureFixture[str]) -> None:
    print_space(space, {"bits": "no design can meet this"}, "json")
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 2
    assert (document["space"], document["model"], document["data"], document["size"]) == (
        "mine", "small_cnn", "digits", space.size,
    )  # fmt: skip
    assert document["slots"] == slot_rows(space)
    assert document["cost"]["baseline"]["params"] == space.cost(space.baseline).params
    assert document["unmet"] == {"bits": "no design can meet this"}
    assert any("groups 3" in label for label in document["unsupported"]["stages.0.*"])
    assert document["options"] == [group.to_json() for group in option_groups(space)]
    print_space(space, {}, "csv")
    assert capsys.readouterr().out.startswith("slot,channels,kernel,")


def test_excluded_convolutions_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    model = "tests.space.networks:Hooked"
    rules = TEXT[TEXT.index("slots:") : TEXT.index("objectives:")]
    text = TEXT.replace(rules, "slots: [{match: mix, binary_basis: [0, 2]}]\n")
    text = text.replace("small_cnn", model).replace("{width: 4}", "{}")
    hooked = build_space("mine", "mine.yaml", text[: text.index("constraints:")])
    print_space(hooked, {}, "table")
    out = capsys.readouterr().out
    assert "excluded: conv has hooks, which a redesign would lose\n" in out
    print_space(hooked, {}, "json")
    assert json.loads(capsys.readouterr().out)["excluded"] == dict(hooked.analysis.excluded)


def test_missing_weights_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXT.replace("data: digits", "data: digits\nweights: none.pt")
    print_space(build_space("mine", "mine.yaml", text), {}, "table")
    assert "missing: weights none.pt, which a search requires\n" in capsys.readouterr().out


def test_the_contents_of_the_data(space: SearchSpace, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["ant", "bee\x1b", "cat", "dog", "eel", "fox"]
    contents = Contents(
        classes=names,
        splits={
            "train": SplitContents(images_per_class=[200] * 6, source="folder 'Training'"),
            "test": SplitContents(images_per_class=[1, 0, 0, 0, 0, 0], source="folder 'Testing'"),
        },
    )
    print_space(space, {}, "table", contents=contents)
    assert (
        "data: 6 classes (ant, bee\\x1b, cat, dog, eel and 1 more)\n"
        "  train: 1,200 images (folder 'Training')\n"
        "  test: 1 image, none of bee\\x1b, cat, dog, eel, fox (folder 'Testing')\n"
    ) in capsys.readouterr().out
    print_space(space, {}, "json", contents=contents)
    held = json.loads(capsys.readouterr().out)["contents"]
    assert held["classes"] == names
    assert held["splits"]["test"] == {
        "images": 1, "images_per_class": [1, 0, 0, 0, 0, 0], "source": "folder 'Testing'",
    }  # fmt: skip
    print_space(space, {}, "json")
    assert json.loads(capsys.readouterr().out)["contents"] is None
