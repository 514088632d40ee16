"""Networks that do not run under the settings of a space are rejected at the responsible key."""

import re

import pytest

from dsx.errors import DsxError, SpaceError
from dsx.space.probe.conditions import check_measured, check_trained
from dsx.space.space import SearchSpace
from tests.space.space_files import space, with_rules

PLAIN = "train: {epochs: 1, batch_size: 64, learning_rate: 0.2, seed: 0}\nmeasure: {batch: 1}\n"


def of(model: str, measure: str = "{}", train: str = "{}") -> SearchSpace:
    """Build a space for an unusual network with other settings."""
    text = with_rules("{match: '*', kernel_shape: [full, cross]}")
    text = text.replace("small_cnn", f"tests.space.odd_networks:{model}")
    text = text.replace("model_args: {width: 8}\n", "")
    assert PLAIN in text
    return space(text.replace(PLAIN, f"train: {train}\nmeasure: {measure}\n"))


@pytest.mark.parametrize("measure", ["{}", "{channels_last: true, dtype: float64, batch: 3}"])
@pytest.mark.parametrize("model", ["Odd", "Complex"])
def test_a_network_that_runs_passes(model: str, measure: str) -> None:
    loaded = of(model, "{channels_last: true}" if model == "Complex" else measure)
    check_measured(loaded.network(), loaded)
    check_trained(loaded.network(), loaded)


@pytest.mark.parametrize(
    ("model", "measure", "problem"),
    [
        ("Viewing", "{channels_last: true}", "channels_last: true: the network does not run on an "
         "input of 2 x 1 x 8 x 8: RuntimeError: view size"),
        ("Viewing", "{channels_last: true, dtype: bfloat16}", "channels_last: true: the network"),
        ("FloatConstant", "{dtype: bfloat16, batch: 4}", "dtype: bfloat16: the network does not"),
        ("Complex", "{dtype: bfloat16}", "dtype: bfloat16: turn is complex"),
    ],
)  # fmt: skip
def test_the_key_of_measure_is_named(model: str, measure: str, problem: str) -> None:
    loaded = of(model, measure)
    with pytest.raises(SpaceError, match=rf"^tested\.yaml:4: measure\.{re.escape(problem)}"):
        check_measured(loaded.network(), loaded)


@pytest.mark.parametrize(
    ("model", "train", "problem"),
    [
        ("Viewing", "{channels_last: true}", "channels_last: true: the network does not run"),
        ("NormedVector", "{batch_size: 1}", "batch_size: 1: the network does not run in train"),
        ("NormedVector", "{batch_size: 5, accumulate: 3}", "accumulate: 3: the network does not"),
    ],
)
def test_the_key_of_train_is_named(model: str, train: str, problem: str) -> None:
    loaded = of(model, train=train)
    with pytest.raises(SpaceError, match=rf"^tested\.yaml:3: train\.{re.escape(problem)}"):
        check_trained(loaded.network(), loaded)


def test_sufficiently_large_batches_pass() -> None:
    loaded = of("NormedVector", train="{batch_size: 6, accumulate: 3, precision: bfloat16}")
    check_trained(loaded.network(), loaded)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("ends_in_training", "the network does not run in train mode: SystemExit"),
        ("SparseGradient", "the gradient of table.weight is sparse"),
        ("Overwriting", "the gradients of the network cannot be computed: RuntimeError: one of"),
    ],
)
def test_a_network_without_usable_gradients_is_rejected(model: str, problem: str) -> None:
    loaded = of(model, train="{channels_last: true}")
    with pytest.raises(DsxError, match=f"^{problem}"):
        check_trained(loaded.network(), loaded)
