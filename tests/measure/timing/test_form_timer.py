"""Timer of deployed forms: interleaved calls while holding the device lock."""

import threading
from pathlib import Path

import pytest
import torch

from dsx.conv.timing import MIN_ROUNDS
from dsx.measure.timing import device_lock as lock
from dsx.measure.timing.device_lock import exclusive
from dsx.measure.timing.form_timer import timer
from dsx.space.yaml.schema import Measure
from tests.measure.held import is_held
from tests.measure.work import Counting


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a separate folder for lock files."""
    monkeypatch.setattr(lock, "FOLDER", tmp_path)


@pytest.mark.timing
def test_seconds_of_one_call_of_each_form() -> None:
    slow, fast = Counting(0.006), Counting(0.002)
    found = timer(Measure())([slow, fast], 0.05)
    assert 0.006 <= found[0] < 0.06
    assert 0.002 <= found[1] < 0.02
    assert found[1] < found[0]


@pytest.mark.timing
def test_forms_are_interleaved_and_run_a_minimum_number_of_times() -> None:
    seen: list[str] = []
    runs = [Counting(0.001, seen=seen.append, name=name) for name in "ab"]
    timer(Measure())(runs, 0.0)
    # The first call of each form is a warm-up.
    assert "".join(seen) == "ab" * (1 + MIN_ROUNDS)
    timer(Measure())(runs, 0.05)
    assert "".join(seen) == "ab" * (len(seen) // 2)
    assert len(seen) > 4 * (1 + MIN_ROUNDS)


def test_device_lock_is_held() -> None:
    held: list[bool] = []

    def run() -> None:
        held.append(is_held("cpu") and torch.is_inference_mode_enabled())

    timer(Measure())([run], 0.0)
    assert held == [True] * (1 + MIN_ROUNDS)
    assert not is_held("cpu")


def test_waiting_for_the_device_lock_is_reported() -> None:
    taken, waits = threading.Event(), threading.Event()

    def keep() -> None:
        with exclusive("cpu"):
            taken.set()
            assert waits.wait(60)

    thread = threading.Thread(target=keep)
    thread.start()
    assert taken.wait(60)
    run = Counting(0.0)
    timer(Measure(), waits.set)([run], 0.0)
    assert waits.is_set()
    assert run.calls == 1 + MIN_ROUNDS
    thread.join()


def test_several_threads_are_timed_in_wall_time() -> None:
    found = timer(Measure(threads=2))([lambda: threading.Event().wait(0.01)], 0.0)
    assert found[0] >= 0.01
    assert timer(Measure())([lambda: threading.Event().wait(0.02)], 0.0)[0] < 0.01
