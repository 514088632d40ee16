"""Peak memory of a candidate in millions of bytes, with the input and without the weights."""

import pytest
import torch

from dsx.measure.metrics.peak_memory_mb import METRIC
from tests.measure.candidates import SMALL, SPECS, candidate
from tests.measure.facts import memory
from tests.space.space_files import space

BATCH = "measure: {batch: 1}"


def at(settings: str) -> str:
    """Change the `measure` section of the space."""
    assert BATCH in SMALL
    return SMALL.replace(BATCH, f"measure: {{{settings}}}")


def test_peak_is_in_millions_of_bytes_and_includes_the_input() -> None:
    one = candidate(at("batch: 3, dtype: float64"))
    reading = METRIC.read(one)
    assert memory(reading).input_bytes == 3 * 8 * 8 * 8 == one.sample.nbytes
    assert reading.value == memory(reading).bytes / 1_000_000
    # In float64: input of the stem, unfolded input, and its output of four channels.
    assert memory(reading).bytes >= 3 * 8 * 8 * (1 + 9 + 4) * 8


def test_weights_are_not_counted() -> None:
    """A linear classifier with 128,000 weights for an image of 64 pixels."""
    one = candidate(at("dtype: float64"))
    one.deployed.network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 2000).double()
    )
    assert memory(METRIC.read(one)).bytes == (64 + 2000) * 8


@pytest.mark.parametrize("specs", [{}, SPECS], ids=["baseline", "redesigned"])
def test_peak_is_proportional_to_the_batch_and_reproducible(specs: dict[str, object]) -> None:
    """In float64, the memory of every operator is proportional to the batch."""
    one, four = (candidate(at(f"batch: {n}, dtype: float64")) for n in (1, 4))
    first = METRIC.read(one)
    assert METRIC.read(four).value == 4 * first.value
    assert METRIC.read(one) == first


def test_protocol_is_independent_of_the_time_budget() -> None:
    plain, longer = (
        METRIC.protocol(space(at(words))) for words in ("batch: 1", "budget_seconds: 9.0")
    )
    assert plain == longer


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_backends_that_allocate_through_torch_are_supported(backend: str) -> None:
    assert METRIC.unsupported(space(at(f"backend: {backend}"))) is None


def test_other_backends_are_unsupported() -> None:
    problem = METRIC.unsupported(space(at("backend: openvino")))
    assert problem is not None
    assert "the backend openvino" in problem.reason
    assert problem.reason.endswith("(allowed: compile, eager)")
