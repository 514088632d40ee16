"""Energy of a call, from counters that the call increments by a known amount."""

import json
import os
import threading
import time
from pathlib import Path

import pytest
import torch

from dsx.analysis.measurement import Provenance, from_json, to_json
from dsx.errors import WorkFailed
from dsx.measure.machine.energy_counters import RaplMeter
from dsx.measure.metrics.energy_mj import METRIC, measure_energy, read_by
from dsx.measure.timing import device_lock as lock
from tests.measure.candidates import SMALL, SPECS, candidate
from tests.measure.facts import deployment, energy
from tests.measure.held import is_held
from tests.measure.machine.test_energy_counters import domain, powercap
from tests.space.space_files import space

END = 99_999_999
"""Range of a counter in microjoules, far more than the energy of a window, as on real machines: a
counter that wraps around twice in one window loses energy."""


class Counter:
    """The energy counter of a processor package, which the test increments.

    Args:
        folder: Folder of the kernel's energy counters.
        number: Number of the package.
    """

    def __init__(self, folder: Path, number: int) -> None:
        powercap(folder, {f"intel-rapl:{number}": domain(f"package-{number}", 0, END)})
        self._file = os.open(folder / f"intel-rapl:{number}/energy_uj", os.O_WRONLY)
        self._energy = 0

    def move(self, microjoules: int) -> None:
        """Increment the counter by one write of constant length, so that reads are atomic."""
        self._energy = (self._energy + microjoules) % (END + 1)
        os.pwrite(self._file, f"{self._energy:08d}\n".encode(), 0)


def test_energy_of_a_call_is_its_increment_of_the_counters(tmp_path: Path) -> None:
    first, second = Counter(tmp_path, 0), Counter(tmp_path, 1)

    def run() -> None:
        time.sleep(0.0005)
        first.move(500)
        second.move(300)

    found = measure_energy(run, RaplMeter(tmp_path), window_seconds=0.01, idle_seconds=0.01)
    assert list(found.samples) == [pytest.approx(0.8)] * 8
    assert [found.low, found.value, found.high] == [pytest.approx(0.8)] * 3
    assert energy(found).idle_watts == 0
    assert energy(found).calls >= 8
    assert energy(found).watts > 0
    assert energy(found).meter == "RAPL"


def test_idle_power_is_reported_and_not_subtracted(tmp_path: Path) -> None:
    counter, over = Counter(tmp_path, 0), threading.Event()

    def rest() -> None:
        while not over.wait(0.001):
            counter.move(100)

    thread = threading.Thread(target=rest)
    thread.start()
    try:
        meter = RaplMeter(tmp_path)
        found = measure_energy(lambda: time.sleep(0.002), meter, 0.05, idle_seconds=0.05)
    finally:
        over.set()
        thread.join()
    assert energy(found).idle_watts > 0
    assert found.value > 0
    assert 0 < found.low <= found.value <= found.high


def test_candidate_runs_with_its_settings_and_the_load_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    counter, one = Counter(tmp_path, 0), candidate(specs=SPECS)
    passes = one.run

    def run() -> None:
        assert torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == 1
        assert is_held("cpu")
        passes()
        counter.move(70)

    one.run = run
    found = read_by(RaplMeter(tmp_path), one)
    assert found.value == pytest.approx(0.07)
    assert deployment(found).forms.keys() == SPECS.keys()
    assert found.provenance.machine is not None
    stored = json.loads(json.dumps(to_json(found.provenance)))
    assert from_json(Provenance, stored) == found.provenance
    assert not is_held("cpu")


def test_counter_that_does_not_increase_is_an_error(tmp_path: Path) -> None:
    Counter(tmp_path, 0)
    with pytest.raises(
        WorkFailed, match="energy_mj: the RAPL counter of this machine does not increase"
    ):
        measure_energy(lambda: None, RaplMeter(tmp_path), 0.001, idle_seconds=0.001)


def test_slow_call_is_one_window(tmp_path: Path) -> None:
    counter = Counter(tmp_path, 0)

    def run() -> None:
        time.sleep(0.003)
        counter.move(50)

    found = measure_energy(run, RaplMeter(tmp_path), window_seconds=0.0, idle_seconds=0.0)
    assert energy(found).calls == len(found.samples) == 8
    assert found.value == pytest.approx(0.05)


def test_protocol_excludes_the_duration_of_a_timing() -> None:
    texts = [SMALL.replace("batch: 1}", words) for words in ("batch: 1}", "budget_seconds: 9.0}")]
    plain, longer = (METRIC.protocol(space(text)) for text in texts)
    assert plain == longer
    assert plain["windows"] == 8
