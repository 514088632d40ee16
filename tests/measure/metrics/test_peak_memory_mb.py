"""Peak memory of a candidate: input included, weights not, in millions of bytes."""

import pytest
import torch

from dsx.measure.metrics.peak_memory_mb import METRIC
from tests.measure.candidates import SMALL, SPECS, candidate
from tests.measure.facts import memory
from tests.space.space_files import space

BATCH = "measure: {batch: 1}"


def at(settings: str) -> str:
    """Change how a network is measured."""
    assert BATCH in SMALL
    return SMALL.replace(BATCH, f"measure: {{{settings}}}")


def test_megabytes_are_millions_of_bytes_with_the_input() -> None:
    one = candidate(at("batch: 3, dtype: float64"))
    reading = METRIC.read(one)
    assert memory(reading).input_bytes == 3 * 8 * 8 * 8 == one.sample.nbytes
    assert reading.value == memory(reading).bytes / 1_000_000
    # Of float64: the stem's input, the same unfolded, and its output of four channels.
    assert memory(reading).bytes >= 3 * 8 * 8 * (1 + 9 + 4) * 8


def test_weights_are_not_counted() -> None:
    """A classifier of a hundred thousand weights whose image is 64 pixels."""
    one = candidate(at("dtype: float64"))
    one.deployed.network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 2000).double()
    )
    assert memory(METRIC.read(one)).bytes == (64 + 2000) * 8


@pytest.mark.parametrize("specs", [{}, SPECS], ids=["baseline", "redesigned"])
def test_the_peak_grows_with_the_batch_and_is_the_same_again(specs: dict[str, object]) -> None:
    """In float64 every operator's memory is in proportion to the batch."""
    one, four = (candidate(at(f"batch: {n}, dtype: float64")) for n in (1, 4))
    first = METRIC.read(one)
    assert METRIC.read(four).value == 4 * first.value
    assert METRIC.read(one) == first


def test_how_long_latency_is_timed_makes_no_difference() -> None:
    plain, longer = (
        METRIC.protocol(space(at(words))) for words in ("batch: 1", "budget_seconds: 9.0")
    )
    assert plain == longer


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_where_torch_hands_out_the_memory_it_is_known(backend: str) -> None:
    assert METRIC.absent(space(at(f"backend: {backend}"))) == ""


def test_a_backend_with_memory_of_its_own_is_named() -> None:
    assert METRIC.absent(space(at("backend: openvino"))) == (
        "cannot be told of the backend openvino, whose memory is its own (allowed: compile, eager)"
    )
