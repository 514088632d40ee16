"""A metric that is given by an import path behaves like a built-in one in every command."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from dsx import front
from dsx.activity import End
from dsx.search.refining.choice import Limits
from dsx.search.refining.refine import refine_study
from dsx.space import load_space
from dsx.store.database.schema import MeasurementRow, WeightFileRow
from tests.cli.running import dsx
from tests.search.again import readings, searched
from tests.search.looking import rows
from tests.search.spaces import QUICK, varied

WATTS, ERROR, GUESS, SLOTS = (
    f"tests.search.foreign:{name}" for name in ("WATTS", "ERROR", "GUESS", "SLOTS")
)
OWN = f"objectives: {{'{ERROR}': minimize, '{WATTS}': minimize, '{GUESS}': minimize}}"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space with metrics outside dsx as objectives."""
    old = "objectives: {accuracy: maximize, latency_ms: minimize}"
    return varied(QUICK, tmp_path_factory.mktemp("space"), old, OWN)


@pytest.fixture
def storage(space: Path, tmp_path: Path) -> str:
    """A study of that space with three designs."""
    return searched(space, tmp_path)


def test_a_study_stores_their_stage_and_refinement(storage: str) -> None:
    found = front(storage=storage)
    assert list(found.objectives) == [ERROR, WATTS, GUESS]
    assert {name: tuple(found.kinds[name]) for name in found.objectives} == {
        ERROR: ("trained", "retrain"),
        WATTS: ("timed", "re-measure"),
        GUESS: ("projected", "none"),
    }
    assert all(found.objectives.keys() <= entry.metrics.keys() for entry in found.entries)


def test_contested_designs_are_measured_again(space: Path, storage: str) -> None:
    limits = Limits(readings=3, seeds=2)
    found = refine_study(None, 60.0, storage=storage, space=load_space(space), limits=limits)
    assert found.end == End.TIED
    assert found.timed >= 3 and found.trained >= 1 and found.failed == {}
    assert min(readings(storage, WATTS).values()) >= 3
    seeds = [entry.metrics[ERROR].seeds for entry in found.front.entries]
    assert max(seeds) == 2
    assert {row.metric for row in rows(storage, MeasurementRow)} >= {WATTS, ERROR, GUESS}


def test_reports_show_them(storage: str, space: Path, tmp_path: Path) -> None:
    database = ("--storage", storage)
    shown = dsx("pareto", *database, folder=tmp_path)
    assert shown.code == 0 and "WATTS" in shown.out, shown
    proxies = dsx("pareto", "--proxies", "--json", *database, folder=tmp_path)
    assert proxies.code == 0, proxies
    pairs = {(each["proxy"], each["target"]) for each in proxies.json["proxies"]["comparisons"]}
    assert {("flops", WATTS), (GUESS, ERROR)} <= pairs


def test_an_export_has_the_weights_of_its_own_training(
    storage: str, space: Path, tmp_path: Path
) -> None:
    longer = varied(space, tmp_path, "epochs: 1", "epochs: 2")
    dsx("search", longer, "--study", "longer", "--trials", 1, "--storage", storage, folder=tmp_path)
    kept = rows(storage, WeightFileRow)
    assert {row.study for row in kept} == {"quick", "longer"}
    trainings = {row.study: row.training for row in kept}
    assert trainings["quick"] != trainings["longer"] and all(trainings.values())
    own = next(row for row in kept if row.study == "quick" and row.design == _baseline(storage))
    path = Path(storage.removeprefix("sqlite:///")).parent / "quick" / "weights" / own.file
    weights = load_file(path)
    chosen = ("export", "quick", "--pick", "baseline", "--space", space, "--storage", storage)
    done = dsx(*chosen, "--out", "chosen", folder=tmp_path)
    assert done.code == 0, done
    manifest = json.loads((tmp_path / "chosen" / "manifest.json").read_text())
    assert manifest["study"] == "quick" and ERROR in manifest["metrics"]
    exported = load_file(tmp_path / "chosen" / "weights.safetensors")
    assert any(tensor.equal(exported[name]) for name, tensor in weights.items() if name in exported)
    path.unlink()
    again = dsx(*chosen, "--out", "again", folder=tmp_path)
    assert again.code == 0, again
    assert "weights: trained for this export" in again.out
    assert "weights: trained" not in done.out
    trained_again = load_file(tmp_path / "again" / "weights.safetensors")
    assert all(tensor.equal(trained_again[name]) for name, tensor in exported.items())


def _baseline(storage: str) -> str:
    return front("quick", storage=storage).baseline


def test_a_contested_metric_that_cannot_be_refined_ends_the_refinement(tmp_path: Path) -> None:
    old = "objectives: {accuracy: maximize, latency_ms: minimize}"
    spread = f"objectives: {{'{SLOTS}': minimize, params: minimize}}"
    space = varied(QUICK, tmp_path, old, spread)
    storage = searched(space, tmp_path)
    found = refine_study(None, 60.0, storage=storage, space=load_space(space))
    assert found.front.contested and (found.timed, found.trained) == (0, 0)
    assert found.end == End.NOT_REFINABLE
