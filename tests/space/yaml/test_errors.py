"""What is said of a wrong value, whatever the key: once for each kind of mistake."""

import pytest

from dsx.space.yaml.schema import Train
from tests.space.space_files import PLAIN, SLOTS, changed, complaint, ruled

TRAIN = "train: {epochs: 1, batch_size: 64, learning_rate: 0.2, seed: 0}"
TRAIN_KEYS = ", ".join(Train.model_fields)
FILE_KEYS = (
    "model, model_args, weights, data, data_args, train, measure, slots, objectives, constraints"
)
RULE_KEYS = (
    "match, keep, share, preset, separable, kernel_shape, groups, channel_stride, binary_basis, "
    "splits, scale, density, rigid, block_in, block_out"
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (changed("epochs: 1", "epochs: many"), "4: train.epochs: 'many' does not fit "
         "(allowed: a whole number)"),
        (changed("epochs: 1", "epochs: 1.5"), "4: train.epochs: 1.5 does not fit "
         "(allowed: a whole number)"),
        (changed("epochs: 1", "epochs: true"), "4: train.epochs: True does not fit "
         "(allowed: a whole number)"),
        (changed("epochs: 1", "epochs:"), "4: train.epochs: has no value "
         "(allowed: a whole number)"),
        (changed("epochs: 1", "epochs: 0"), "4: train.epochs: 0 does not fit (allowed: 1 or more)"),
        (changed("0.2", "'0.2'"), "4: train.learning_rate: '0.2' does not fit (allowed: a number)"),
        (changed("0.2", "0"), "4: train.learning_rate: 0 does not fit (allowed: more than 0.0)"),
        (changed("0.2", ".inf"), "4: train.learning_rate: inf does not fit "
         "(allowed: a finite number)"),
        (changed("batch: 1}", "threads: 2000}"), "5: measure.threads: 2000 does not fit "
         "(allowed: 1024 or less)"),
        (changed("batch: 1}", "dtype: flot32}"), "5: measure.dtype: 'flot32' is not allowed "
         "(allowed: float32, float64, bfloat16). Did you mean 'float32'?"),
        (changed("minimize", "minimise"), "9: objectives.params: 'minimise' is not allowed "
         "(allowed: minimize, maximize). Did you mean 'minimize'?"),
        (changed("minimize", "down"), "9: objectives.params: 'down' is not allowed "
         "(allowed: minimize, maximize)."),
        (changed("small_cnn", "3"), "1: model: 3 does not fit (allowed: a word)"),
        (changed("{width: 8}", "hello"), "2: model_args: 'hello' does not fit "
         "(allowed: keys with values)"),
        (changed("{params: minimize}", "[params]"), "9: objectives: ['params'] does not fit "
         "(allowed: keys with values)"),
        (changed("{params: minimize}", "{}"), "9: objectives: {} does not fit "
         "(allowed: at least one)"),
        (changed(TRAIN, "train:"), "4: train: has no value "
         f"(allowed: the keys {TRAIN_KEYS})"),
        (changed(TRAIN, "train: [1]"), "4: train: [1] does not fit "
         f"(allowed: the keys {TRAIN_KEYS})"),
        (changed(SLOTS, "slots: {match: a}\n"), "6: slots: {'match': 'a'} does not fit "
         "(allowed: a list)"),
        (changed(SLOTS, "slots: [stages]\n"), "6: slots.0: 'stages' does not fit "
         f"(allowed: the keys {RULE_KEYS})"),
        (changed(SLOTS, f"slots: {'a' * 99}\n"), f"6: slots: '{'a' * 59}... does not fit "
         "(allowed: a list)"),
        (ruled("{match: '*', separable: 'yes'}"), "7: slots.0.separable: 'yes' does not fit "
         "(allowed: true, false)"),
        (ruled("{match: '*', binary_basis: 4, scale: [true, 1]}"), "7: slots.0.scale.1: 1 does not "
         "fit (allowed: true, false)"),
        (ruled("{match: '*', binary_basis: 4, scale: }"), "7: slots.0.scale: has no value "
         "(allowed: true, false)"),
        (ruled("{match: '*', kernel_shape: learned, rigid: rigid}"), "7: slots.0.rigid: 'rigid' "
         "does not fit (allowed: true, false)"),
        (ruled("{match: '*', scale: []}"), "7: slots.0.scale: [] does not fit "
         "(allowed: at least one)"),
        (ruled("{match: '*', groups: []}"), "7: slots.0.groups: [] does not fit "
         "(allowed: at least one)"),
    ],
)  # fmt: skip
def test_wrong_values(text: str, line: str) -> None:
    assert complaint(text) == f"tested.yaml:{line}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (PLAIN + "modle: x\n", f"10: modle: unknown key (allowed: {FILE_KEYS}). "
         "Did you mean 'model'?"),
        (changed("epochs", "epoch"), f"4: train.epoch: unknown key (allowed: {TRAIN_KEYS}). "
         "Did you mean 'epochs'?"),
        (changed("batch: 1}", "xyz: 1}"), "5: measure.xyz: unknown key (allowed: batch, dtype, "
         "threads, channels_last, device, backend, deploy, cuda_graph, target_width, "
         "budget_seconds)."),
        (changed("groups", "group"), f"8: slots.0.group: unknown key (allowed: {RULE_KEYS}). "
         "Did you mean 'groups'?"),
        (changed("groups: [1, 2]", "kernel_shape: learned\n    densty: 0.5"), "9: slots.0.densty: "
         f"unknown key (allowed: {RULE_KEYS}). Did you mean 'density'?"),
        (PLAIN + '"a\\nb": 1\n', f"10: a b: unknown key (allowed: {FILE_KEYS})."),
    ],
)  # fmt: skip
def test_unknown_keys(text: str, line: str) -> None:
    assert complaint(text) == f"tested.yaml:{line}"


def test_missing_keys() -> None:
    assert complaint(changed("data: digits\n", "")) == "tested.yaml:1: the key 'data' is missing"
    missing = "tested.yaml:7: slots.0: the key 'match' is missing"
    assert complaint(ruled("{groups: 2}")) == missing


def test_a_misspelt_key_is_named_before_the_key_that_it_leaves_missing() -> None:
    assert "3: dta: unknown key" in complaint(changed("data: digits", "dta: digits"))
    assert "7: slots.0.mach: unknown key" in complaint(ruled("{mach: '*', groups: 2}"))
