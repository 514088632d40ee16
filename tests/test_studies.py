"""Archived studies: the front equals the front of the raw measurements."""

import csv
import json
import statistics
from pathlib import Path

import pytest

from dsx.analysis.measurement import Provenance, from_json
from dsx.report.studies.archive import check_folder
from dsx.space.space import build_space

STUDIES = sorted(
    path.parent for path in (Path(__file__).parent.parent / "studies").glob("*/*.yaml")
)


@pytest.fixture(params=STUDIES, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as opened:
        return list(csv.DictReader(opened))


def measured(folder: Path) -> dict[str, dict[str, float]]:
    """Return the value of each metric of each feasible design: the median of its readings."""
    taken: dict[str, dict[str, list[dict[str, str]]]] = {}
    for row in rows(folder / "measurements.csv"):
        if row["feasible"] == "true":
            taken.setdefault(row["design"], {}).setdefault(row["metric"], []).append(row)
    return {
        design: {metric: aggregated(readings) for metric, readings in metrics.items()}
        for design, metrics in taken.items()
    }


def aggregated(readings: list[dict[str, str]]) -> float:
    """Return the median of the unflagged readings, or of all if every reading is flagged."""
    provenances = [from_json(Provenance, json.loads(row["provenance"])) for row in readings]
    unflagged = [
        row
        for row, provenance in zip(readings, provenances, strict=True)
        if provenance.converged and not provenance.noisy
    ]
    return statistics.median(float(row["value"]) for row in unflagged or readings)


def test_the_reference_study_exists() -> None:
    assert [folder.name for folder in STUDIES] == ["digits"]


def test_the_front_is_the_front_of_the_raw_measurements(folder: Path) -> None:
    objectives = json.loads((folder / "study.json").read_text())["objectives"]
    signs = {name: 1 if sense == "minimize" else -1 for name, sense in objectives.items()}
    costs = {
        design: [sign * values[name] for name, sign in signs.items()]
        for design, values in measured(folder).items()
    }

    def dominated(cost: list[float]) -> bool:
        return any(
            other != cost and all(a <= b for a, b in zip(other, cost, strict=True))
            for other in costs.values()
        )

    front = {design for design, cost in costs.items() if not dominated(cost)}
    assert front
    assert {row["id"] for row in rows(folder / "front.csv")} == front


def test_stored_counts_equal_the_closed_form(folder: Path) -> None:
    space = build_space(folder.name, "space.yaml", (folder / "space.yaml").read_text())
    from dsx.conv import ConvSpec

    designs = json.loads((folder / "study.json").read_text())["designs"]
    assert len(designs) >= 60
    for entry in designs:
        dials = {slot: ConvSpec.from_json(spec) for slot, spec in entry["spec"].items()}
        design = space.design(dials)
        cost = space.cost(design)
        assert design.id == entry["id"]
        off = {name: entry["metrics"][name]["value"] - cost.numbers[name] for name in cost.numbers}
        learned = [slot for slot in space.analysis.slots if design.specs[slot.name].learned]
        # The number of live weights of learned shapes differs from the expected one. Each weight
        # has 32 bits and one multiply-add per output pixel.
        assert off["bits"] == 32 * off["params"]
        pixels = [rows * columns for slot in learned for rows, columns in slot.out_hw]
        if len(pixels) <= 1:
            assert off["flops"] == sum(pixels) * off["params"]
        assert learned or not any(off.values())


def test_dsx_may_replace_the_files(folder: Path) -> None:
    # Otherwise docs/regenerate.py cannot save the study again.
    check_folder(folder)
