"""dsx space --model: the slots of any network, and a draft of a space file."""

from pathlib import Path
from typing import Any

import pytest

from dsx.space import load_space
from tests.cli.running import dsx, one_line
from tests.data.writers import write_folder
from tests.search.spaces import TINY, varied

TANGLE = "tests.space.networks:Tangle"


def test_the_slots_of_a_network_are_listed(tmp_path: Path) -> None:
    ended = dsx("space", "--model", TANGLE, "--input", "3x12x12", folder=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    title, header, *lines = ended.out.splitlines()
    assert title == f"{TANGLE} on images of 3 x 12 x 12: 7 slots"
    assert header.split()[:3] == ["slot", "channels", "kernel"]
    assert lines[3].split() == [
        "grouped", "8->12", "3x3", "/2", "4", "groups", "6x6", "228", "7.78", "k",
    ]  # fmt: skip
    assert "excluded: up is a ConvTranspose2d, not a nn.Conv2d" in lines
    assert list(tmp_path.iterdir()) == []


def test_json_has_the_same_slots(tmp_path: Path) -> None:
    document = dsx("space", "--model", TANGLE, "--input", "3x12x12", "--json", folder=tmp_path).json
    assert (document["schema_version"], document["input"], document["output"]) == (
        2, [3, 12, 12], [5],
    )  # fmt: skip
    assert document["excluded"]["unused"] == "is not called in a forward pass"
    assert [row["groups"] for row in document["slots"]] == [1, 1, 1, 4, 1, 1, 1]
    assert document["cost"]["params"] > sum(row["params"] for row in document["slots"])


def test_a_network_of_dsx_needs_no_input(tmp_path: Path) -> None:
    ended = dsx("space", "--model", "small_cnn", "--model-args", "{width: 4}", folder=tmp_path)
    assert ended.out.startswith("small_cnn on images of 1 x 8 x 8: 7 slots")


def test_depthwise_slots_are_named(tmp_path: Path) -> None:
    arguments = ("--model-args", "{small: true, classes: 10}", "--input", "3x32x32")
    ended = dsx("space", "--model", "mobilenet_v1", *arguments, folder=tmp_path)
    line = next(line for line in ended.out.splitlines() if line.startswith("layers.0.conv1 "))
    assert line.split()[2:4] == ["3x3", "dw"]


def test_output_of_a_network_is_not_a_result(tmp_path: Path) -> None:
    loud = "tests.space.networks:Loud"
    ended = dsx("space", "--model", loud, "--input", "1x8x8", "--json", folder=tmp_path)
    assert ended.json["model"] == loud
    assert "a forward pass" in ended.err


def test_the_written_file_is_a_space(tmp_path: Path) -> None:
    ended = dsx("space", "--model", "small_cnn", "--write", "my.yaml", folder=tmp_path)
    assert (ended.code, ended.err) == (0, "Wrote my.yaml\nNext: dsx space my.yaml\n")
    assert load_space(tmp_path / "my.yaml").size > 1000
    assert dsx("space", "my.yaml", folder=tmp_path).code == 0
    before = (tmp_path / "my.yaml").read_text()
    ended = dsx("space", "--model", "small_cnn", "--write", "my.yaml", folder=tmp_path)
    assert one_line(ended, 2) == "--write: 'my.yaml' already exists (choose another name)"
    assert (tmp_path / "my.yaml").read_text() == before


def test_a_shipped_space_can_be_copied(tmp_path: Path) -> None:
    ended = dsx("space", "digits", "--write", "mine.yaml", folder=tmp_path)
    assert (ended.code, ended.err) == (0, "Wrote mine.yaml\nNext: dsx search mine.yaml\n")
    assert (tmp_path / "mine.yaml").read_text() == load_space("digits").source.text
    ended = dsx("space", "digits", "--write", "mine.yaml", folder=tmp_path)
    assert one_line(ended, 2) == "--write: 'mine.yaml' already exists (choose another name)"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["digits", "--model", "small_cnn"], "--model: the network is given twice: by 'small_cnn'"),
        (["--input", "1x8x8"], "--input and --model-args: need the network"),
        (["--model", TANGLE], "--input: required for this model (channels x rows x columns: "
         "3x224x224)"),
        (["--model", TANGLE, "--input", "12x12"], "--input: '12x12' is not the shape of an image "
         "(allowed: channels x rows x columns, such as 3x224x224)"),
        (["--model", TANGLE, "--input", "3x0x2"], "--input: '3x0x2' is not the shape of an image "
         "(allowed: channels x rows x columns, such as 3x224x224)"),
        (["--model", TANGLE, "--input", "3x99999x99999"], "--input: '3x99999x99999' is too large "
         "for an image (allowed: 100,000,000 numbers)"),
        (["--model", "tests.space.networks:exits", "--input", "1x8x8"],
         "tests.space.networks:exits cannot be built with these arguments: SystemExit: 2"),
        (["--model", TANGLE, "--input", "1x12x12"], "the network does not run on an input of 2 x 1 "
         "x 12 x 12: RuntimeError: Given groups=1"),
        (["--model", "small_cnn", "--model-args", "[3]"], "--model-args: '[3]' is not a mapping"),
        (["--model", "small_cnn", "--model-args", "{a: ["], "--model-args:1:6: not YAML: "),
        (["--model", "small_cnn", "--model-args", "{widht: 3}"], "no argument of small_cnn "
         "called 'widht' (allowed: classes, in_channels, stem_stride, width). Did you mean "
         "'width'?"),
        (["--model", "smal_cnn"], "no net called 'smal_cnn' (allowed: "),
        (["--model", "small_cnn", "--write", "my.txt"], "--write: 'my.txt' is not a name of a "
         "space file (allowed: *.yaml)"),
        (["--model", "small_cnn", "--write", "no/my.yaml"], "--write: 'no/my.yaml' cannot be "
         "written: No such file or directory"),
        (["--model", "tests.space.networks:half_precision", "--input", "1x8x8"], "its weight "
         "mix.weight is bfloat16, but dsx trains in float32"),
        (["--model", "tests.space.networks:TwoInputs", "--input", "1x8x8"], "the network does not "
         "run on an input of 2 x 1 x 8 x 8: TypeError: TwoInputs.forward() missing 1 required"),
    ],
)  # fmt: skip
def test_invalid_input_is_one_line(words: list[Any], problem: str, tmp_path: Path) -> None:
    assert one_line(dsx("space", *words, folder=tmp_path), 2).startswith(problem)
    assert list(tmp_path.iterdir()) == []


def test_operators_that_are_not_counted_are_named(tmp_path: Path) -> None:
    asked = ("space", "--model", "tests.space.networks:Strange", "--input", "1x8x8")
    named = "flops do not include the unknown operators aten::_fft_r2c (1); "
    assert f"note: {named}" in dsx(*asked, folder=tmp_path).out
    document = dsx(*asked, "--json", folder=tmp_path).json
    assert document["uncounted"] == {"aten::_fft_r2c": 1}
    assert document["notes"][-1].startswith(named)


UNWRITABLE = (
    "`dsx export` cannot write a model.py of the network: model.py cannot determine the "
    "arguments of a nn.LSTM"
)


def test_a_network_that_cannot_be_exported_is_named_before_a_search(tmp_path: Path) -> None:
    model = "tests.export.networks:Foreign"
    asked = ("space", "--model", model, "--input", "1x8x8")
    assert f"note: {UNWRITABLE}\n" in dsx(*asked, folder=tmp_path).out
    file = tmp_path / "foreign.yaml"
    slots = '{match: "*", kernel_shape: [full, cross]}'
    file.write_text(
        f"model: {model}\ndata: digits\nslots: [{slots}]\nobjectives: {{params: minimize}}\n"
    )
    assert UNWRITABLE in dsx("space", "foreign.yaml", "--json", folder=tmp_path).json["notes"]
    searched = dsx("search", "foreign.yaml", "--trials", 2, folder=tmp_path)
    assert (searched.code, searched.err.count(f"note: {UNWRITABLE}\n")) == (0, 1)


SPACE = """
model: small_cnn
model_args: {{width: 4, in_channels: 3, classes: {classes}}}
data: folder
data_args: {{root: {root}, size: 8{more}}}
slots: [{{match: "*", kernel_shape: [full, cross]}}]
objectives: {{params: minimize}}
"""


def space_file(folder: Path, root: str, more: str = "", classes: int = 2) -> str:
    text = SPACE.format(root=root, more=more, classes=classes)
    (folder / "mine.yaml").write_text(text)
    return "mine.yaml"


def test_classes_and_splits_are_shown(tmp_path: Path) -> None:
    write_folder(tmp_path / "pets", {"Training/cat": 10, "Training/dog": 10, "Testing/cat": 3})
    ended = dsx("space", space_file(tmp_path, "pets"), folder=tmp_path)
    assert ended.code == 0
    assert (
        "data: 2 classes (cat, dog)\n"
        "  train: 18 images (the rest of folder 'Training')\n"
        "  validation: 2 images (0.1 of folder 'Training', sampled by class)\n"
        "  test: 3 images, none of dog (folder 'Testing')\n"
    ) in ended.out


def test_another_number_of_classes_is_named_with_the_classes(tmp_path: Path) -> None:
    write_folder(tmp_path / "pets", {"cat": 4, "dog": 4})
    ended = dsx("space", space_file(tmp_path, "pets", classes=3), folder=tmp_path)
    assert one_line(ended, 2).startswith(
        "mine.yaml:2: model: returns 3 numbers for an image, the data has 2 classes (cat, dog)"
    )


def test_an_ambiguous_layout_is_rejected_even_if_the_number_of_classes_is_stated(
    tmp_path: Path,
) -> None:
    write_folder(tmp_path / "pets", {"fold1/cat": 4, "fold2/cat": 4})
    ended = dsx("space", space_file(tmp_path, "pets", ", classes: 2"), folder=tmp_path)
    assert one_line(ended, 2).startswith(
        "mine.yaml:5: data_args: pets: ambiguous layout: fold1, fold2 "
    )


def test_a_space_is_shown_without_its_data(tmp_path: Path) -> None:
    ended = dsx("space", space_file(tmp_path, "none", ", classes: 2"), folder=tmp_path)
    assert ended.code == 0
    assert ended.err.startswith("The data cannot be checked: none: there is no such folder")


def test_the_reason_for_portable_forms_is_shown(tmp_path: Path) -> None:
    space = varied(TINY, tmp_path, "\ndata: digits", "\ndata: digits\nmeasure: {dtype: bfloat16}")
    shown = dsx("space", space, folder=tmp_path)
    assert shown.code == 0
    reason = "the compiled kernels compute in float32 and float64 only, not in bfloat16"
    assert f"note: measure.deploy: auto selects portable forms, because {reason}\n" in shown.out
