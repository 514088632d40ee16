"""The benchmark of convolutions: results that are saved and reused."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from dsx.bench._saved import Saved
from dsx.bench.conv import LIMITS, Measurer, measure_saved
from dsx.bench.convolutions.cases import Case
from dsx.bench.convolutions.device_limit import Limit
from dsx.bench.convolutions.layers import Layer
from dsx.bench.convolutions.operators import PRESETS
from dsx.measure.timing import device_lock as lock

LAYER = Layer(in_channels=16, out_channels=16, side=4)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def cases(*names: str) -> Sequence[Case]:
    chosen = {each.name: each for each in PRESETS}
    return [Case(operator=chosen[name], layer=LAYER, batch=1) for name in names]


def measurer(reported: list[str]) -> Measurer:
    made = Measurer(reported.append)
    made.limits[1] = Limit(flops_per_s=1e9, bandwidths=((1e9, 1e9),))
    return made


def test_all_cases_are_measured_and_the_saved_file_is_removed() -> None:
    reported: list[str] = []
    rows = measure_saved(measurer(reported), cases("standard", "ssc cross"), threads=())
    assert [row["operator"] for row in rows if row["row"] == "case"] == ["standard", "ssc cross"]
    assert len(reported) == 2 and not Saved("conv").file.exists()
    assert reported[1].startswith("measurement 2 of 2 (saved in ")
    assert reported[1].endswith("conv.json): ssc cross on 16@4, batch 1, 1 thread, forward")


def test_an_interrupted_run_continues_with_the_next_case() -> None:
    def interrupt(step: str) -> None:
        if "pointwise" in step:
            raise KeyboardInterrupt

    made = measurer([])
    made.report = interrupt
    both = cases("ssc cross", "pointwise")
    with pytest.raises(KeyboardInterrupt):
        measure_saved(made, both, threads=())
    assert Saved("conv").load().keys() == {LIMITS, both[0].name}
    reported: list[str] = []
    resumed = Measurer(reported.append)
    rows = measure_saved(resumed, both, threads=())
    assert len(reported) == 1 and "pointwise" in reported[0]
    assert sum(row["row"] == "case" for row in rows) == 2
    # Those of the interrupted process, to which its results refer.
    assert resumed.limits == made.limits
    assert ["1 thread: multiply-adds (G/s)", 1.0] in [[row["measure"], row["mean"]] for row in rows]


def test_whole_networks_are_measured_with_each_number_of_threads() -> None:
    assert list(measurer([]).work([], threads=(1, 2)))[3:8] == [
        "vgg16 of scc, 1 thread", "vgg16 of ssc corners, 1 thread", "vgg16 of lhc .25, 1 thread",
        "training of a network, 1 thread", "resnet18 of scc, 2 threads",
    ]  # fmt: skip
