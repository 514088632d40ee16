"""Accuracy: top-1 accuracy of the trained network on the validation split, from 0 to 1."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from dsx.analysis import ExampleResults, Measurement, Predictions, Provenance, exact
from dsx.measure.candidate import Candidate, Exported, training_facts
from dsx.measure.metrics._base import Metric
from dsx.space import SearchSpace
from dsx.train import predict


def read(candidate: Candidate) -> Measurement:
    """Measure the accuracy of a candidate after training.

    Args:
        candidate: The candidate; it is trained if necessary.

    Returns:
        The accuracy; its provenance has the training losses by epoch.
    """
    found = measure_accuracy(candidate, candidate.trained())
    predictions, losses = found.provenance.predictions, candidate.losses
    assert predictions is not None
    predictions = replace(predictions, losses=None if losses is None else tuple(losses))
    return replace(found, provenance=replace(found.provenance, predictions=predictions))


def measure_accuracy(candidate: Candidate, network: nn.Module) -> Measurement:
    """Measure the accuracy of a network on the validation split.

    Args:
        candidate: Candidate that provides the data.
        network: Network in eval mode.

    Returns:
        The accuracy with its binomial interval. `predictions.chance` of its provenance is the
        relative frequency of the most frequent class, which constant predictions reach.
    """
    splits = candidate.splits
    split = splits.validation
    with candidate.shared_devices() as yield_device:
        predicted = predict(network, split, yield_device=yield_device)
    correct = predicted == split.labels
    hits = int(correct.sum())
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
        examples=ExampleResults.of(correct.numpy(), split.fingerprint),
    )


def read_exported(files: Exported) -> dict[str, Measurement]:
    """Measure the accuracy of exported files.

    Args:
        files: Network that was loaded from exported files.

    Returns:
        Accuracies on the validation and the test split, in the dtype of the exported network.
    """
    splits, dtype = files.candidate.splits, files.candidate.sample.dtype
    return {
        name: exact(float((predict(files.network, part, dtype) == part.labels).double().mean()))
        for name, part in (("accuracy", splits.validation), ("test_accuracy", splits.test))
    }


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Compute the Wilson score interval of a proportion at 95 % confidence.

    Args:
        hits: Number of successes.
        trials: Number of trials, at least 1.

    Returns:
        Lower and upper end of the interval.

    Source:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    # Imported here, because scipy.stats takes a second to import and no other metric needs it.
    from scipy.stats import binomtest

    interval = binomtest(hits, trials).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """Return the data, the training settings and the pretrained weights.

    Args:
        space: The space.

    Returns:
        Plain JSON values.
    """
    return {"version": 2, **training_facts(space)}


METRIC = Metric(
    unit="fraction",
    direction="maximize",
    stage="trained",
    read=read,
    protocol=protocol,
    read_exported=read_exported,
)
