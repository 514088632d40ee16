"""Accuracy: top-1 on the validation split, 0 to 1."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from dsx.analysis import Measurement, Predictions, Provenance, exact
from dsx.measure.candidate import Candidate, Exported, training_facts
from dsx.measure.metrics._base import Metric
from dsx.space import SearchSpace
from dsx.train import predict


def read(candidate: Candidate) -> Measurement:
    """Train, and classify the validation split."""
    found = share_of_hits(candidate, candidate.trained())
    predictions, losses = found.provenance.predictions, candidate.losses
    assert predictions is not None
    predictions = replace(predictions, losses=None if losses is None else tuple(losses))
    return replace(found, provenance=replace(found.provenance, predictions=predictions))


def share_of_hits(candidate: Candidate, network: nn.Module) -> Measurement:
    """Classify the validation split.

    Args:
        candidate: Whose data are taken.
        network: In eval mode.

    Returns:
        The share that is classified rightly, with its binomial interval. Its
        provenance has the share of the most frequent class, which constant predictions reach, as
        `predictions.chance`, and the notes of the data.
    """
    splits = candidate.splits
    split = splits.validation
    with candidate.at_leisure() as yield_device:
        predicted = predict(network, split, yield_device=yield_device)
    hits = int((predicted == split.labels).sum())
    low, high = wilson(hits, len(split))
    chance = int(torch.bincount(split.labels).max()) / len(split)
    predictions = Predictions(
        chance=chance,
        images=len(split),
        predicted_classes=int(torch.unique(predicted).numel()),
    )
    return Measurement(
        value=hits / len(split),
        low=low,
        high=high,
        provenance=Provenance(predictions=predictions, data_notes=tuple(splits.notes)),
    )


def read_exported(files: Exported) -> dict[str, Measurement]:
    """Classify the images of both splits in the dtype of the exported network."""
    splits, dtype = files.candidate.splits, files.candidate.sample.dtype
    return {
        name: exact(float((predict(files.network, part, dtype) == part.labels).double().mean()))
        for name, part in (("accuracy", splits.validation), ("test_accuracy", splits.test))
    }


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Give the 95 % interval of a share.

    Args:
        hits: Successes.
        trials: Attempts, at least 1.

    Returns:
        Lower and upper end.

    Source:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    # Imported here, because scipy.stats takes a second to import and no other metric needs it.
    from scipy.stats import binomtest

    interval = binomtest(hits, trials).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """Data, training settings, and the weights that training begins with."""
    return {"version": 2, **training_facts(space)}


METRIC = Metric(
    unit="fraction",
    direction="maximize",
    stage="trained",
    read=read,
    protocol=protocol,
    read_exported=read_exported,
)
