"""Valid content of a space file, and the errors of each key."""

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dsx.conv import ConvSpec, preset
from dsx.errors import SpaceError
from dsx.space.yaml.bound import parse_bound
from dsx.space.yaml.schema import Augment, Measure, Rule, SpaceFile, Train, parse_space
from dsx.space.yaml.source import read_source
from tests.space.space_files import PLAIN, error_message, replaced, with_rules

NAMES = st.text("abcxyz_.*[]0", min_size=1, max_size=6)


def listed(value: Any) -> list[Any]:
    """Convert a single option into a list."""
    return value if isinstance(value, list) else [value]


def options(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Generate a list of options, or a single option without brackets."""
    return values | st.lists(values, min_size=1, max_size=3)


def sensible(rule: dict[str, Any]) -> dict[str, Any]:
    """Remove the dials of a rule that have no effect."""
    separable = listed(rule.get("separable", False))
    if False not in separable:
        rule.pop("kernel_shape", None)
    shapes = listed(rule.get("kernel_shape", "full"))
    learned = "learned" in shapes
    idle: list[str] = [] if learned else ["density", "rigid", "block_in", "block_out"]
    if set(shapes) == {"learned"} and True not in separable:
        idle += ["groups", "channel_stride", "binary_basis", "splits", "scale"]
    if set(listed(rule.get("groups", 1))) == {1}:
        idle += ["channel_stride"]
    if set(listed(rule.get("binary_basis", 0))) == {0}:
        idle += ["splits", "scale"]
    return {key: value for key, value in rule.items() if key not in idle}


SHAPES = ["full", "cross", "het4", "corners", "learned", "learned"]
RULES = st.fixed_dictionaries(
    {"match": NAMES},
    optional={
        "share": st.sampled_from(["none", "rule"]),
        "preset": options(
            st.sampled_from(["scc", "depthwise", {"hetconv": {"p": 2}}, {"slbf": {"k": 4}}])
        ),
        "separable": options(st.booleans()),
        "kernel_shape": options(st.sampled_from(SHAPES)),
        "groups": options(st.integers(1, 64) | st.just("all")),
        "channel_stride": options(st.sampled_from(["block", "1/3", 0.25, 1, 1.0, 1e-3])),
        "binary_basis": options(st.integers(0, 64)),
        "splits": options(st.integers(1, 8)),
        "scale": options(st.booleans()),
        "density": options(st.floats(0, 1, exclude_min=True) | st.just(1)),
        "rigid": options(st.booleans()),
        "block_in": options(st.integers(1, 64)),
        "block_out": options(st.integers(1, 64)),
    },
).map(sensible)
FILES = st.fixed_dictionaries(
    {
        "model": NAMES,
        "data": NAMES,
        "slots": st.lists(RULES, min_size=1, max_size=3),
        "objectives": st.dictionaries(
            NAMES, st.sampled_from(["minimize", "maximize"]), min_size=1, max_size=3
        ),
    },
    optional={
        "model_args": st.dictionaries(
            NAMES, st.integers(-(2**63) + 1, 2**63 - 1) | NAMES, max_size=2
        ),
        "train": st.fixed_dictionaries(
            {}, optional={"epochs": st.integers(1, 300), "learning_rate": st.floats(1e-6, 10)}
        ),
        "measure": st.fixed_dictionaries(
            {}, optional={"batch": st.integers(1, 64), "deploy": st.just("native")}
        ),
        "constraints": st.dictionaries(NAMES, st.sampled_from(["<= 80%", ">= 2.5M"]), max_size=2),
    },
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


def parse(text: str) -> SpaceFile:
    """Parse a text as far as possible without its model and data."""
    return parse_space(read_source("tested.yaml", text))


@given(FILES, st.booleans())
def test_a_valid_file_is_parsed_correctly(written: dict[str, Any], flow: bool) -> None:
    file = parse(yaml.safe_dump(written, default_flow_style=flow))
    assert (file.model, file.data) == (written["model"], written["data"])
    assert file.objectives == written["objectives"]
    assert file.model_args == written.get("model_args", {})
    assert file.train == Train(**written.get("train", {}))
    assert file.measure == Measure(**written.get("measure", {}))
    bounds = written.get("constraints", {}).items()
    assert file.constraints == {name: parse_bound(text) for name, text in bounds}
    for rule, meant in zip(file.slots, written["slots"], strict=True):
        for key, value in meant.items():
            if key not in ("match", "share", "preset"):
                assert getattr(rule, key) == listed(value), key
        assert (rule.match, rule.share) == (meant["match"], meant.get("share", "none"))
        assert len(rule.preset) == len(listed(meant.get("preset", [])))
        assert rule.sets_dials == bool(set(meant) - {"match", "share", "preset"})


@given(FILES, ANYTHING, st.data())
def test_any_value_is_parsed_or_rejected_in_one_line(
    written: dict[str, Any], anything: Any, data: st.DataObject
) -> None:
    # Descend to a random key and replace its value.
    broken = node = copy.deepcopy(written)
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else [0]))
        if not (isinstance(node[key], dict | list) and node[key]) or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = anything
    try:
        parse(yaml.safe_dump(broken))
    except SpaceError as error:
        message = str(error)
        assert message == " ".join(message.split())
        assert message.startswith("tested.yaml:")
        assert "pydantic" not in message.lower()


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "hello\n", "3\n"])
def test_a_file_without_keys_is_rejected(text: str) -> None:
    problem = "tested.yaml:1: not a search space: it has no keys (model, data, slots ...)"
    assert error_message(text) == problem


def test_defaults_are_as_documented() -> None:
    file = parse("model: a\ndata: b\nslots: [{match: c}]\nobjectives: {d: minimize}\n")
    assert file.train == Train(epochs=6, batch_size=64, learning_rate=0.2, seed=0)
    assert file.measure == Measure(batch=1, dtype="float32", threads=1, deploy="auto")
    assert (file.model_args, file.constraints) == ({}, {})
    assert file.slots == [Rule(match="c")]
    assert file.slots[0].options == {
        "separable": (False,), "kernel_shape": ("full",), "groups": (1,),
        "channel_stride": ("block",), "binary_basis": (0,), "splits": (1,), "density": (0.25,),
        "rigid": (False,), "block_in": (32,), "block_out": (16,),
    }  # fmt: skip
    assert not file.slots[0].sets_dials


def trained(written: str) -> str:
    """Return the error for other training settings, without its common prefix."""
    text = replaced("train: {epochs: 1, batch_size: 64, learning_rate: 0.2, seed: 0}", written)
    problem = error_message(text)
    assert problem.startswith("tested.yaml:4: train.")
    return problem.removeprefix("tested.yaml:4: train.")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("optimizer: adam", "optimizer: 'adam' is not allowed (allowed: sgd, adamw). Did you mean"),
        ("schedule: cosin", "schedule: 'cosin' is not allowed (allowed: one_cycle, cosine). Did"),
        ("optimizer: [sgd]", "optimizer: ['sgd'] is not allowed (allowed: sgd, adamw)."),
        ("schedule: {a: 1}", "schedule: {'a': 1} is not allowed (allowed: one_cycle, cosine)."),
        ("precision: half", "precision: 'half' is not allowed (allowed: float32, bfloat16, auto)."),
        ("warm_up: 1.5", "warm_up: 1.5 is not allowed (allowed: 1.0 or less)"),
        ("warm_up: ", "warm_up: has no value (allowed: a number)"),
        ("momentum: 1", "momentum: 1 is not allowed (allowed: less than 1.0)"),
        ("momentum: ", "momentum: has no value (allowed: 0 or more, less than 1)"),
        ("optimizer: adamw, momentum: 0.9", "momentum: has no effect with optimizer: adamw; leave"),
        ("weight_decay: -1", "weight_decay: -1 is not allowed (allowed: 0.0 or more)"),
        ("label_smoothing: 1", "label_smoothing: 1 is not allowed (allowed: less than 1.0)"),
        ("clip: 0", "clip: 0 is not allowed (allowed: more than 0.0)"),
        ("clip: .inf", "clip: inf is not allowed (allowed: a finite number)"),
        ("accumulate: 0", "accumulate: 0 is not allowed (allowed: 1 or more)"),
        ("batch_size: 8, accumulate: 9", "accumulate: 9 parts of 8 images (allowed: 1 to 8)"),
        ("accumulate: 65", "accumulate: 65 parts of 64 images (allowed: 1 to 64)"),
        ("channels_last: 1", "channels_last: 1 is not allowed (allowed: true, false)"),
        ("compile: inductor", "compile: 'inductor' is not allowed (allowed: true, false)"),
        (
            "augment: flip",
            "augment: 'flip' is not allowed (allowed: the keys crop, flip, cutout",
        ),
        ("augment: {crop: -1}", "augment.crop: -1 is not allowed (allowed: 0 or more)"),
        ("augment: {crop: 0.5}", "augment.crop: 0.5 is not allowed (allowed: an integer)"),
        ("augment: {flip: 1}", "augment.flip: 1 is not allowed (allowed: true, false)"),
        ("augment: {mixup: .nan}", "augment.mixup: nan is not allowed (allowed: a finite number)"),
        (
            "augment: {flop: yes}",
            "augment.flop: unknown key (allowed: crop, flip, cutout, mixup).",
        ),
    ],
)
def test_invalid_training_settings_are_rejected(written: str, problem: str) -> None:
    assert trained(f"train: {{{written}}}").startswith(problem)


def test_optimisers_and_schedules_have_their_own_defaults() -> None:
    plain, other = Train(), Train(optimizer="adamw", schedule="cosine")
    assert (plain.learning_rate, plain.momentum, plain.weight_decay) == (0.2, 0.9, 5e-4)
    assert (other.learning_rate, other.momentum, other.weight_decay) == (2e-3, None, 0.05)
    assert (plain.warm_up, other.warm_up) == (0.3, 0.05)
    explicit = Train(
        optimizer="adamw", learning_rate=1.0, weight_decay=0.0, schedule="cosine", warm_up=0
    )
    assert (explicit.learning_rate, explicit.weight_decay, explicit.warm_up) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "settings", [Train(), Train(optimizer="adamw"), Train(schedule="cosine", clip=1.0)]
)
def test_settings_round_trip_through_a_dump(settings: Train) -> None:
    assert Train.model_validate(settings.model_dump()) == settings
    assert Train.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("size", "settings", "errors"),
    [
        ((8, 8), {"crop": 7, "cutout": 8}, {}),
        ((32, 8), {"crop": 8, "cutout": 9}, {"crop": "8 is too large for images of 32 x 8 pixels "
         "(allowed: 0 to 7)", "cutout": "9 is too large for images of 32 x 8 pixels (allowed: 0 to "
         "8)"}),
        ((1, 5), {"cutout": 2}, {"cutout": "2 is too large for images of 1 x 5 pixels (allowed: 0 "
         "to 1)"}),
        ((1, 1), {"flip": True, "mixup": 9.0}, {}),
    ],
)  # fmt: skip
def test_augmentation_must_suit_the_image_size(
    size: tuple[int, int], settings: dict[str, Any], errors: dict[str, str]
) -> None:
    assert Augment.model_validate(settings).size_errors(*size) == errors


def test_a_single_option_needs_no_brackets_and_1e_3_is_a_number() -> None:
    text = with_rules("{match: a, groups: all, kernel_shape: cross, channel_stride: 5e-1}")
    file = parse(text.replace("0.2", "1e-3"))
    assert file.train.learning_rate == 1e-3
    rule = file.slots[0]
    assert (rule.groups, rule.kernel_shape, rule.channel_stride) == (["all"], ["cross"], [0.5])


def test_presets_with_and_without_arguments() -> None:
    rule = "{match: a, preset: [scc, {scc: {groups: 4, overlap: 0.25}}, {ssc: }]}"
    assert parse(with_rules(rule)).slots[0].preset == [
        ("scc", preset("scc")),
        ("scc(groups=4, overlap=0.25)", preset("scc", groups=4, overlap=0.25)),
        ("ssc", ConvSpec(kernel_shape="cross")),
    ]


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("kernel_shape: [full, cros]", "kernel_shape.1: no shape called 'cros' (allowed: "),
        ("kernel_shape: false", "kernel_shape: False is not a string"),
        ("kernel_shape: het", "kernel_shape: 'het' needs a number"),
        ("kernel_shape: learnt", "kernel_shape: no shape called 'learnt' (allowed: "),
        ("kernel_shape: [keep]", "kernel_shape.0: 'keep' is always among the options; leave"),
        ("kernel_shape: 'no.such:thing'", "kernel_shape: cannot import 'no.such'"),
        ("groups: [1, none]", "groups.1: 'none' is neither a positive integer nor 'all'"),
        ("groups: 2.0", "groups: 2.0 is neither a positive integer nor 'all'"),
        ("groups: true", "groups: True is neither a positive integer nor 'all'"),
        ("groups: [0]", "groups.0: 0 is neither a positive integer nor 'all'"),
        ("groups: ", "groups: has no value"),
        ("groups: [[2]]", "groups.0: [2] is neither a positive integer nor 'all'"),
        ("channel_stride: [0.5, 2]", "channel_stride.1: 2 must be 'block' or a fraction"),
        ("channel_stride: blok", "channel_stride: 'blok' must be 'block' or a fraction"),
        ("channel_stride: 0", "channel_stride: 0 must be 'block' or a fraction"),
        ("channel_stride: .nan", "channel_stride: nan must be 'block' or a fraction"),
        ("channel_stride: [null]", "channel_stride.0: has no value"),
        ("binary_basis: -1", "binary_basis: -1 is not a non-negative integer"),
        ("binary_basis: [4, 2.0]", "binary_basis.1: 2.0 is not a non-negative integer"),
        ("binary_basis: none", "binary_basis: 'none' is not a non-negative integer"),
        ("splits: [0]", "splits.0: 0 is not a positive integer"),
        ("splits: ", "splits: has no value"),
        ("density: 0", "density: 0 is not a number in 0 < density <= 1"),
        ("density: [0.5, 25]", "density.1: 25 is not a number in 0 < density <= 1"),
        ("density: 25%", "density: '25%' is not a number in 0 < density <= 1"),
        ("density: .nan", "density: nan is not a number in 0 < density <= 1"),
        ("density: true", "density: True is not a number in 0 < density <= 1"),
        ("density: [null]", "density.0: has no value"),
        ("block_in: 0", "block_in: 0 is not a positive integer"),
        ("block_out: [16, true]", "block_out.1: True is not a positive integer"),
        ("preset: sccc", "preset: no preset called 'sccc' (allowed: depthwise, group"),
        ("preset: {scc: {grops: 2}}", "preset: preset scc: got an unexpected keyword argument"),
        ("preset: {scc: {overlap: 1}}", "preset: preset scc: overlap: 1 is not in 0 <= overlap"),
        ("preset: {scc: {name: a}}", "preset: preset scc: "),
        ("preset: {scc: 3}", "preset: write a preset as 'depthwise' or as {scc: {groups: 2"),
        ("preset: [{scc: , ssc: }]", "preset.0: write a preset as 'depthwise' or as {scc: "),
        ("preset: 3", "preset: write a preset as 'depthwise' or as {scc: {groups: 2"),
        ("preset: {lhc: {density: 2}}", "preset: density: 2 is not a number in 0 < density"),
        ("preset: {lhc: {groups: 2}}", "preset: learned shapes need groups = 1, not 2"),
        ("preset: [{slbf: {k: 0.5}}]", "preset.0: binary_basis: 0.5 is not a non-negative integer"),
        ("share: rul", "share: 'rul' is not allowed (allowed: none, rule). Did you mean 'rule'?"),
    ],
)
def test_invalid_options_of_each_dial_are_rejected(rule: str, line: str) -> None:
    problem = error_message(with_rules(f"{{match: '*', {rule}}}"))
    assert problem.startswith(f"tested.yaml:7: slots.0.{line}")


@pytest.mark.parametrize(
    ("rule", "key", "need"),
    [
        ("kernel_shape: [full, cross], density: 0.5", "density", "kernel_shape: learned"),
        ("rigid: [false, true]", "rigid", "kernel_shape: learned"),
        ("preset: lhc, block_in: 8", "block_in", "kernel_shape: learned"),
        ("kernel_shape: cross, block_out: [8]", "block_out", "kernel_shape: learned"),
        ("splits: [1, 2]", "splits", "a binary_basis above 0"),
        ("binary_basis: [0], scale: true", "scale", "a binary_basis above 0"),
        ("kernel_shape: learned, groups: [1, 2]", "groups", "a kernel_shape other than learned"),
        ("kernel_shape: [learned], binary_basis: 4", "binary_basis", "a kernel_shape other than"),
        ("groups: 1, channel_stride: [block, 0.5]", "channel_stride", "groups above 1"),
        ("channel_stride: 0.5", "channel_stride", "groups above 1"),
        ("separable: true, kernel_shape: cross", "kernel_shape", "separable: false"),
    ],
)
def test_a_dial_without_effect_is_rejected(rule: str, key: str, need: str) -> None:
    problem = error_message(with_rules("{match: stem.0, groups: 2}", f"{{match: '*', {rule}}}"))
    expected = f"tested.yaml:8: slots.1.{key}: has no effect in this rule: it requires {need}"
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    "rule",
    [
        "kernel_shape: [full, learned], density: 0.5, rigid: true, block_in: 8, block_out: 8",
        "separable: [false, true], kernel_shape: learned, groups: 2, channel_stride: 0.5",
        "groups: [1, all], channel_stride: 0.5",
        "binary_basis: [0, 4], splits: 2, scale: true",
        "preset: [lhc, slbf]",
        "separable: false, kernel_shape: full, groups: 1, binary_basis: 0",
    ],
)
def test_a_dial_with_an_effect_under_some_options_is_accepted(rule: str) -> None:
    assert parse(with_rules(f"{{match: '*', {rule}}}")).slots[0].sets_dials == (
        "preset" not in rule
    )


def test_errors_have_near_matches() -> None:
    assert error_message(with_rules("{match: a, kernel_shape: cros}")).endswith(
        "Did you mean 'cross'?"
    )
    assert error_message(with_rules("{match: a, preset: depthwse}")).endswith(
        "Did you mean 'depthwise'?"
    )


@pytest.mark.parametrize("bound", ["80%", "80", "'< 80%'", "", "{max: 3}", "[1]"])
def test_an_invalid_bound_is_rejected(bound: str) -> None:
    problem = error_message(f"{PLAIN}constraints: {{flops: {bound}}}\n")
    assert problem.startswith("tested.yaml:10: constraints.flops: '")
    assert "is not a bound (write '<= 80%'" in problem


def test_a_parsed_file_is_frozen() -> None:
    file = parse(replaced("small_cnn", "other"))
    with pytest.raises(ValueError, match="frozen"):
        file.model = "small_cnn"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (with_rules("{match: '*', keep: true, groups: 2}"), "7: slots.0.keep: cannot be combined"),
        (with_rules("{match: '*', keep: true, preset: scc}"), "7: slots.0.keep: cannot be combined"
         " with presets or dials"),
        (replaced("data: digits", "data: digits\nweights: 3"), "4: weights: 3 is not allowed "
         "(allowed: the keys file, key, prefix, skip)"),
        (replaced("data: digits", "data: digits\nweights: {skip: a}"), "4: weights: the key 'file' "
         "is missing"),
        (replaced("data: digits", "data: digits\nweights: {file: a, prefx: b}"), "4: "
         "weights.prefx: unknown key (allowed: file, key, prefix, skip). Did you mean 'prefix'?"),
        (replaced("data: digits", "data: digits\nweights: {file: a, key: ''}"), "4: weights.key: "
         "'' is not allowed (allowed: at least 1 character)"),
        (replaced("data: digits", "data: digits\ndata_args: [1]"), "4: data_args: [1] is not "
         "allowed (allowed: keys with values)"),
        (replaced("data: digits", "data: digits\ndata_args: {a: 1}"), "4: data_args: digits: no "
         "argument called 'a'"),
    ],
)  # fmt: skip
def test_invalid_weights_data_and_keep_are_rejected(text: str, line: str) -> None:
    assert error_message(text).startswith(f"tested.yaml:{line}")


@pytest.mark.parametrize("written", ["w.pt", "{file: w.pt}", "{file: w.pt, skip: []}"])
def test_weights_can_be_given_as_a_file(written: str) -> None:
    text = replaced("data: digits", f"data: digits\nweights: {written}")
    weights = parse_space(read_source("a.yaml", text)).weights
    assert weights is not None
    assert (weights.file, weights.skip) == ("w.pt", [])
