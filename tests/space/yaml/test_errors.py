"""Error messages for invalid values, one test case for each kind of mistake."""

import pytest

from dsx.space.yaml.schema import Train
from tests.space.space_files import PLAIN, SLOTS, error_message, replaced, with_rules

TRAIN = "train: {epochs: 1, batch_size: 64, learning_rate: 0.2, seed: 0}"
TRAIN_KEYS = ", ".join(Train.model_fields)
FILE_KEYS = (
    "model, model_args, weights, data, data_args, train, measure, slots, objectives, constraints, "
    "max_loss"
)
RULE_KEYS = (
    "match, keep, share, preset, separable, kernel_shape, groups, channel_stride, binary_basis, "
    "splits, scale, density, rigid, block_in, block_out"
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (replaced("epochs: 1", "epochs: many"), "4: train.epochs: 'many' is not allowed "
         "(allowed: an integer)"),
        (replaced("epochs: 1", "epochs: 1.5"), "4: train.epochs: 1.5 is not allowed "
         "(allowed: an integer)"),
        (replaced("epochs: 1", "epochs: true"), "4: train.epochs: True is not allowed "
         "(allowed: an integer)"),
        (replaced("epochs: 1", "epochs:"), "4: train.epochs: has no value "
         "(allowed: an integer)"),
        (replaced("epochs: 1", "epochs: 0"), "4: train.epochs: 0 is not allowed "
         "(allowed: 1 or more)"),
        (replaced("0.2", "'0.2'"), "4: train.learning_rate: '0.2' is not allowed "
         "(allowed: a number)"),
        (replaced("0.2", "0"), "4: train.learning_rate: 0 is not allowed (allowed: more than 0.0)"),
        (replaced("0.2", ".inf"), "4: train.learning_rate: inf is not allowed "
         "(allowed: a finite number)"),
        (replaced("batch: 1}", "threads: 2000}"), "5: measure.threads: 2000 is not allowed "
         "(allowed: 1024 or less)"),
        (replaced("batch: 1}", "dtype: flot32}"), "5: measure.dtype: 'flot32' is not allowed "
         "(allowed: float32, float64, bfloat16). Did you mean 'float32'?"),
        (replaced("minimize", "minimise"), "9: objectives.params: 'minimise' is not allowed "
         "(allowed: minimize, maximize). Did you mean 'minimize'?"),
        (replaced("minimize", "down"), "9: objectives.params: 'down' is not allowed "
         "(allowed: minimize, maximize)."),
        (replaced("small_cnn", "3"), "1: model: 3 is not allowed (allowed: a string)"),
        (replaced("{width: 8}", "hello"), "2: model_args: 'hello' is not allowed "
         "(allowed: keys with values)"),
        (replaced("{params: minimize}", "[params]"), "9: objectives: ['params'] is not allowed "
         "(allowed: keys with values)"),
        (replaced("{params: minimize}", "{}"), "9: objectives: {} is not allowed "
         "(allowed: at least one)"),
        (replaced(TRAIN, "train:"), "4: train: has no value "
         f"(allowed: the keys {TRAIN_KEYS})"),
        (replaced(TRAIN, "train: [1]"), "4: train: [1] is not allowed "
         f"(allowed: the keys {TRAIN_KEYS})"),
        (replaced(SLOTS, "slots: {match: a}\n"), "6: slots: {'match': 'a'} is not allowed "
         "(allowed: a list)"),
        (replaced(SLOTS, "slots: [stages]\n"), "6: slots.0: 'stages' is not allowed "
         f"(allowed: the keys {RULE_KEYS})"),
        (replaced(SLOTS, f"slots: {'a' * 99}\n"), f"6: slots: '{'a' * 59}... is not allowed "
         "(allowed: a list)"),
        (with_rules("{match: '*', separable: 'yes'}"), "7: slots.0.separable: 'yes' is not allowed "
         "(allowed: true, false)"),
        (with_rules("{match: '*', binary_basis: 4, scale: [true, 1]}"), "7: slots.0.scale.1: 1 is "
         "not allowed (allowed: true, false)"),
        (with_rules("{match: '*', binary_basis: 4, scale: }"), "7: slots.0.scale: has no value "
         "(allowed: true, false)"),
        (with_rules("{match: '*', kernel_shape: learned, rigid: rigid}"), "7: slots.0.rigid: "
         "'rigid' is not allowed (allowed: true, false)"),
        (with_rules("{match: '*', scale: []}"), "7: slots.0.scale: [] is not allowed "
         "(allowed: at least one)"),
        (with_rules("{match: '*', groups: []}"), "7: slots.0.groups: [] is not allowed "
         "(allowed: at least one)"),
    ],
)  # fmt: skip
def test_wrong_values(text: str, line: str) -> None:
    assert error_message(text) == f"tested.yaml:{line}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (PLAIN + "modle: x\n", f"10: modle: unknown key (allowed: {FILE_KEYS}). "
         "Did you mean 'model'?"),
        (replaced("epochs", "epoch"), f"4: train.epoch: unknown key (allowed: {TRAIN_KEYS}). "
         "Did you mean 'epochs'?"),
        (replaced("batch: 1}", "xyz: 1}"), "5: measure.xyz: unknown key (allowed: batch, dtype, "
         "threads, channels_last, device, backend, deploy, cuda_graph, target_width, "
         "budget_seconds)."),
        (replaced("groups", "group"), f"8: slots.0.group: unknown key (allowed: {RULE_KEYS}). "
         "Did you mean 'groups'?"),
        (replaced("groups: [1, 2]", "kernel_shape: learned\n    densty: 0.5"), "9: slots.0.densty: "
         f"unknown key (allowed: {RULE_KEYS}). Did you mean 'density'?"),
        (PLAIN + '"a\\nb": 1\n', f"10: a b: unknown key (allowed: {FILE_KEYS})."),
    ],
)  # fmt: skip
def test_unknown_keys(text: str, line: str) -> None:
    assert error_message(text) == f"tested.yaml:{line}"


def test_missing_keys() -> None:
    assert (
        error_message(replaced("data: digits\n", "")) == "tested.yaml:1: the key 'data' is missing"
    )
    missing = "tested.yaml:7: slots.0: the key 'match' is missing"
    assert error_message(with_rules("{groups: 2}")) == missing


def test_a_misspelt_key_is_reported_instead_of_the_missing_one() -> None:
    assert "3: dta: unknown key" in error_message(replaced("data: digits", "dta: digits"))
    assert "7: slots.0.mach: unknown key" in error_message(with_rules("{mach: '*', groups: 2}"))
