"""The benchmark of convolutions: parts that are saved and reused."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from dsx.bench._saved import Saved
from dsx.bench.conv import Measurer, measure_parts
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


def test_all_parts_are_measured_and_the_saved_file_is_removed() -> None:
    reported: list[str] = []
    parts = {"first": cases("standard"), "second": cases("ssc cross", "pointwise")}
    rows = measure_parts(measurer(reported), parts, threads=())
    assert [row["operator"] for row in rows if row["row"] == "case"] == [
        "standard", "ssc cross", "pointwise",
    ]  # fmt: skip
    assert len(reported) == 3 and not Saved("conv").file.exists()
    assert reported[1].startswith("part 2 of 2 (saved in ")
    assert reported[1].endswith(
        "conv.json), case 1 of 2: ssc cross on 16@4, batch 1, 1 thread, forward"
    )


def test_an_interrupted_run_continues_with_the_next_part() -> None:
    def interrupt(step: str) -> None:
        if "pointwise" in step:
            raise KeyboardInterrupt

    parts = {"first": cases("ssc cross"), "second": cases("pointwise")}
    made = measurer([])
    made.report = interrupt
    with pytest.raises(KeyboardInterrupt):
        measure_parts(made, parts, threads=())
    assert Saved("conv").load().keys() == {"first"}
    reported: list[str] = []
    rows = measure_parts(measurer(reported), parts, threads=())
    assert len(reported) == 1 and "pointwise" in reported[0]
    assert sum(row["row"] == "case" for row in rows) == 2
