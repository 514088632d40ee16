"""Quality of models as rows and as sentences."""

import pytest

from dsx.report.models import model_conditions, models_document, print_models
from dsx.search import ModelQuality

MODELS = [
    ModelQuality(metric="accuracy", kind="Gaussian process", designs=60, tau=0.534, used=True),
    ModelQuality(metric="error", kind="Gaussian process", designs=12, tau=-0.1, used=False),
    ModelQuality(
        metric="latency_ms", kind="times of deployed forms", designs=2, tau=None, used=True
    ),
    ModelQuality(metric="bits", kind="closed form", designs=60, tau=None, used=True),
]


def test_each_model_is_a_row() -> None:
    first, *_ = models_document(MODELS)
    assert first == {
        "metric": "accuracy", "model": "Gaussian process", "designs": 60, "kendall_tau": 0.534,
        "used": True,
    }  # fmt: skip


def test_each_model_is_a_condition() -> None:
    assert model_conditions(MODELS) == {
        "model of accuracy": "Gaussian process; each of 60 designs predicted from the others: rank "
        "correlation (tau) 0.53",
        "model of error": "Gaussian process; each of 12 designs predicted from the others: rank "
        "correlation (tau) -0.10; ignored, because it does not predict",
        "model of latency_ms": "times of deployed forms, 2 designs, too few to tell how well it "
        "predicts",
        "model of bits": "exact, by its closed form",
    }


def test_models_are_printed_as_table_and_csv(capsys: pytest.CaptureFixture[str]) -> None:
    print_models(MODELS, "table")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][-2:] == ["0.53", "yes"] and lines[2][-2:] == ["-0.10", "no"]
    assert lines[3][-2:] == ["-", "yes"]
    print_models(MODELS, "csv")
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head == "metric,model,designs,kendall_tau,used"
    assert first == "accuracy,Gaussian process,60,0.534,true"
