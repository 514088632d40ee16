"""A baseline that is not better than chance is reported, and nothing is compared with it."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from dsx.analysis.aggregate import aggregate_readings, aggregate_seeds
from dsx.analysis.chance import chance_notes
from dsx.analysis.estimate import Estimate
from dsx.analysis.front import Front
from dsx.analysis.measurement import Measurement, Predictions, Provenance
from dsx.errors import WorkFailed
from dsx.report.front.findings import findings
from dsx.report.front.page import page
from dsx.report.front.rows import as_csv, as_json
from dsx.report.front.summary import headline, highlights
from dsx.search.loop import Progress, search
from tests.analysis.test_front import entry, front
from tests.cli.running import dsx
from tests.search.spaces import TINY, varied

POINTS = re.compile(r"[0-9] pt")
MODEL = "model: small_cnn\nmodel_args: {width: 4}"


BAD = Estimate(value=0.1, low=0.07, high=0.13, chance=0.12)


@pytest.fixture(scope="module")
def constant(tmp_path_factory: pytest.TempPathFactory) -> tuple[Front, list[Progress]]:
    """A study of a network that predicts one class, and the progress of its search."""
    folder = tmp_path_factory.mktemp("constant")
    space = varied(TINY, folder, MODEL, "model: tests.search.models:Constant")
    told: list[Progress] = []
    storage = f"sqlite:///{folder}/dsx.db"
    return search(space, trials=3, storage=storage, report=told.append), told


def test_the_first_progress_after_the_baseline_has_the_note(
    constant: tuple[Front, list[Progress]],
) -> None:
    _, told = constant
    (note,) = next(progress.notes for progress in told if progress.complete)
    assert "the baseline is not better than chance" in note
    assert "it predicts the same class for every image" in note
    assert "another learning rate, more epochs" in note and "batch norm" in note
    # The note occurs once.
    assert told[-1].notes == (note,)


def test_nothing_is_compared_with_a_constant_baseline(
    constant: tuple[Front, list[Progress]],
) -> None:
    found, _ = constant
    assert found.at_chance == ("accuracy",) and not found.has_knee
    shown = page(found, "params", "accuracy").partition("<main>")[2].partition("<script")[0]
    assert "the baseline is not better than chance" in shown
    for text in (headline(found), shown):
        assert not POINTS.search(text) and "knee" not in text and "best accuracy" not in text
    assert ["best params"] in highlights(found).values()
    document = json.loads(as_json(found))
    assert (document["knee"], document["at_chance"]) == (None, ["accuracy"])
    assert document["notes"][:1] == chance_notes(found)
    for design in document["designs"]:
        assert design["metrics"]["accuracy"]["at_chance"] is True
        assert 0.08 < design["metrics"]["accuracy"]["chance"] < 0.2
        assert "at_chance" not in design["metrics"]["params"]
    assert as_csv(found).count("true,") >= len(found.entries)
    assert "is not better than chance" in findings(found) and not POINTS.search(findings(found))
    with pytest.raises(
        WorkFailed, match="has no knee: no design of the front is better than chance in acc"
    ):
        found.pick("knee")


def test_the_commands_report_it_in_one_line(tmp_path: Path) -> None:
    # With this learning rate nothing is learnt, but the predictions are not constant.
    space = varied(TINY, tmp_path, "learning_rate: 0.2", "learning_rate: 1e-9")
    ended = dsx("search", space, "--trials", 2, folder=tmp_path)
    assert ended.code == 0
    (line,) = [line for line in ended.err.splitlines() if "is not better than chance" in line]
    assert line.startswith("accuracy: the baseline is not better than chance (")
    assert not POINTS.search(ended.out)
    assert "knee" not in ended.out and "--pick" not in ended.err
    shown = dsx("pareto", folder=tmp_path)
    words = " ".join(shown.out.split())
    assert "the baseline is not better than chance (" in words
    assert not POINTS.search(words)
    assert "^ not better than always predicting the most frequent class" in words
    exported = dsx("export", "--out", "chosen", folder=tmp_path)
    assert (exported.code, exported.out) == (1, "")
    assert "has no knee: no design of the front is better than chance in accuracy" in exported.err
    again = dsx("search", space, "--trials", 2, folder=tmp_path)
    assert line in again.err.splitlines()


def test_a_baseline_that_learns_is_compared(finished: str) -> None:
    found = search(TINY, trials=4, storage=finished)
    assert chance_notes(found) == [] and found.has_knee
    assert all(entry.metrics["accuracy"].chance for entry in found.entries)


def one(trial: int, value: Estimate) -> Front:
    plain = entry(trial, flops=100 + trial)
    return front(
        dataclasses.replace(plain, metrics={**plain.metrics, "accuracy": value}),
    )


def test_designs_better_than_chance_have_a_knee_even_if_the_baseline_is_at_chance() -> None:
    good = Estimate(value=0.9, low=0.8, high=0.95, chance=0.12)
    entries = (*one(0, BAD).entries, *one(1, good).entries)
    found = front(*entries)
    assert found.has_knee and found.at_chance == ()
    (note,) = chance_notes(found)
    assert note.startswith(
        "accuracy: the baseline is not better than chance (0.1, 95 % interval 0.07"
    )
    assert "same class" not in note


def stored(
    value: float, predictions: Predictions | None, half: float = 0.1, seed: int = 0
) -> Measurement:
    return Measurement(
        number=1, metric="m", seed=seed, value=value, low=value - half, high=value + half,
        provenance=Provenance(predictions=predictions),
    )  # fmt: skip


def test_readings_of_any_metric_may_state_the_chance_level() -> None:
    predictions = Predictions(chance=0.3, better_than_chance="above", predicted_classes=1)
    bad = aggregate_readings([stored(0.2, predictions)])
    assert (bad.chance, bad.at_chance, bad.constant) == (0.3, True, True)
    good = aggregate_readings([stored(0.9, dataclasses.replace(predictions, predicted_classes=2))])
    assert (good.chance, good.at_chance, good.constant) == (0.3, False, False)
    # A lower error rate is better.
    below = Predictions(chance=0.7, better_than_chance="below")
    assert aggregate_readings([stored(0.7, below)]).at_chance
    assert not aggregate_readings([stored(0.1, below)]).at_chance


def test_the_pooled_interval_decides_whether_seeds_are_better_than_chance() -> None:
    lucky = aggregate_readings([stored(0.121, Predictions(chance=0.1), half=0.02)])
    others = [
        aggregate_readings([stored(0.1, Predictions(chance=0.1), half=0.02)]) for _ in range(9)
    ]
    assert not lucky.at_chance and aggregate_seeds([lucky, *others]).at_chance
    several = [
        aggregate_readings([stored(0.3, Predictions(chance=0.1), half=0.02)]) for _ in range(9)
    ]
    assert not aggregate_seeds([*several, *others[:1]]).at_chance


def test_a_reading_without_predictions_is_not_at_chance() -> None:
    assert not aggregate_readings([stored(0.2, None)]).at_chance
