"""Interleaved blocks of contenders in separate processes, and the ratio of their speeds."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsx.bench._blocks import Block, Contenders, Sample, ratio
from dsx.errors import WorkFailed


def recording_block(name: str, file: Path) -> Block:
    """Prepare a block that records the contender and the process that ran it."""
    calls = iter(range(1, 100))

    def block() -> int:
        with file.open("a") as notes:
            notes.write(f"{name} {os.getpid()}\n")
        return next(calls)

    return block


def failing_block(at: int) -> Block:
    """Prepare a block that fails at a given call, or already when it is prepared."""
    if at == 0:
        raise ValueError("no network")
    calls = iter(range(100))

    def block() -> int:
        if next(calls) == at:
            raise RuntimeError("out of memory")
        return 1

    return block


def exiting_block() -> Block:
    """Prepare a block that terminates its process."""
    return functools.partial(os._exit, 3)


@pytest.fixture(scope="module")
def contenders() -> Iterator[Contenders]:
    with Contenders(["a", "b"]) as two:
        yield two


def test_blocks_are_interleaved_and_run_in_separate_processes(
    contenders: Contenders, tmp_path: Path
) -> None:
    file = tmp_path / "notes"
    work = {name: functools.partial(recording_block, name, file) for name in ("a", "b")}
    samples = contenders.run_interleaved(work, 3)
    notes = [line.split() for line in file.read_text().splitlines()]
    assert [name for name, _ in notes] == ["a", "b"] * 4
    processes = {
        name: {number for contender, number in notes if contender == name} for name in ("a", "b")
    }
    assert len(processes["a"]) == len(processes["b"]) == 1
    assert len({str(os.getpid()), *processes["a"], *processes["b"]}) == 3
    # The first block is the warm-up.
    assert {name: [sample.done for sample in own] for name, own in samples.items()} == {
        "a": [2, 3, 4],
        "b": [2, 3, 4],
    }
    assert all(sample.cpu >= 0 and 0 < sample.wall < 60 for sample in samples["a"])
    # The same processes run the next blocks.
    contenders.run_interleaved({"b": functools.partial(recording_block, "b", file)}, 1)
    assert file.read_text().splitlines()[-1] == f"b {processes['b'].pop()}"


@pytest.mark.parametrize(
    ("at", "problem"), [(0, "ValueError: no network"), (2, "RuntimeError: out")]
)
def test_a_failure_is_reported_in_one_line(contenders: Contenders, at: int, problem: str) -> None:
    with pytest.raises(WorkFailed, match=f"^b: {problem}") as caught:
        contenders.run_interleaved({"b": functools.partial(failing_block, at)}, 5)
    (note,) = caught.value.__notes__
    assert "Traceback (most recent call last)" in note and "test_blocks.py" in note


def test_a_process_that_has_ended_is_reported() -> None:
    with Contenders(["a"]) as one:
        with pytest.raises(WorkFailed, match=r"^a: its process has ended$"):
            one.run_interleaved({"a": exiting_block}, 1)
        process = one.workers["a"].process
    assert not process.is_alive()


def test_all_processes_end_with_the_context() -> None:
    with Contenders(["a"]) as one:
        process = one.workers["a"].process
        assert process.is_alive()
    assert not process.is_alive()


def sample(done: int, cpu: float) -> Sample:
    return Sample(done, cpu, 10 * cpu)


def test_speeds_are_compared_round_by_round() -> None:
    # The machine is three times as slow in the last round, for both.
    ours = [sample(10, 1.0), sample(10, 2.0), sample(10, 6.0)]
    theirs = [sample(20, 4.0), sample(20, 8.0), sample(20, 20.0)]
    middle, low, high = ratio(ours, theirs)
    assert (middle, low, high) == pytest.approx((2.0, 10 / 6, 2.0))
