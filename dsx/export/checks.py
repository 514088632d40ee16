"""Checks of an export against its network and the search, and a list of skipped checks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dsx.analysis import Estimate
from dsx.conv import set_mode
from dsx.data import Split
from dsx.errors import WorkFailed
from dsx.export import verify
from dsx.export._fresh import BATCH
from dsx.export.packing.contents import tensor_shares
from dsx.lookup import find, names
from dsx.measure import Candidate, Exported, Measurement, Metric
from dsx.measure.metrics import in_order
from dsx.measure.metrics.flops import count
from dsx.search import read_metric

ROUNDING = 1e-6
"""Relative difference of equal values without an interval."""
COMPARED = 256
"""Number of images of each split whose logits are compared in a fresh process."""

_SEARCHED = torch.float32
"""Dtype in which a search classifies images."""


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A check that was skipped.

    Args:
        check: Quantity that was not verified.
        reason: Reason why it was not verified.
    """

    check: str
    reason: str


def check_weights(
    candidate: Candidate, searched: Mapping[str, Estimate], skipped: list[Skipped]
) -> None:
    """Recompute counts and trained metrics in float32 and compare them with those of the search.

    Args:
        candidate: Candidate with the trained network.
        searched: Estimates of the search by metric.
        skipped: List of skipped checks, which is extended in place.

    Raises:
        WorkFailed: If a count or a trained metric differs from the value of the search.
    """
    _check_learned(candidate, searched, skipped)
    metrics = {name: find(Metric, name) for name in searched}
    trained = {name: metric for name, metric in metrics.items() if metric.stage == "trained"}
    if not trained:
        reason = "the search has no measurements of this design with these weights"
        skipped.append(Skipped(check="the weights", reason=reason))
    for name, metric in trained.items():
        now, before = read_metric(name, metric, candidate).value, searched[name]
        # Rounding may decide the class of a single image.
        tolerance = max((before.high - before.low) / 10, ROUNDING * abs(before.value))
        if not abs(now - before.value) <= tolerance:
            raise WorkFailed(
                f"{name} is {now:.4f} with these weights, but {before.value:.4f} in the search"
            )


def _check_learned(
    candidate: Candidate, searched: Mapping[str, Estimate], skipped: list[Skipped]
) -> None:
    """Check the counts of learned shapes, which depend on the training."""
    if not candidate.design.learned:
        return
    for name, number in candidate.cost.numbers.items():
        if name not in searched:
            reason = "the kernel shapes are learned, and the search has no count"
            skipped.append(Skipped(check=f"{name} after training", reason=reason))
        elif searched[name].value != number:
            raise WorkFailed(
                f"{name} is {number:,} with these weights, but {searched[name].value:,.0f} in the "
                "search"
            )


def check_outputs(candidate: Candidate, folder: Path, skipped: list[Skipped]) -> dict[str, float]:
    """Check the logits of the files in a fresh process against those of the network.

    Args:
        candidate: Candidate with the trained network.
        folder: Folder of the exported files.
        skipped: List of skipped checks, which is extended.

    Returns:
        Number of compared images, largest relative difference of the outputs, and its tolerance.

    Raises:
        WorkFailed: If the files do not run, or the difference exceeds the tolerance.
    """
    dtype = candidate.sample.dtype
    network = set_mode(candidate.inference_copy(), False)
    parts = {"validation": candidate.splits.validation, "test": candidate.splits.test}
    images = {name: _first_images(part).to(dtype) for name, part in parts.items()}
    logits = verify.fresh_logits(folder, images)
    with torch.inference_mode():
        compared = [
            verify.compare_logits(logits[name], _in_batches(network, images[name]))
            for name in parts
        ]
    largest, tolerance = max(compared)
    number = sum(map(len, images.values()))
    _note_uncompared(number, sum(map(len, parts.values())), dtype, skipped)
    return {"images": number, "largest_difference": largest, "tolerance": tolerance}


def _in_batches(network: nn.Module, images: Tensor) -> Tensor:
    """Run a network in batches of the same size as in the fresh process."""
    return torch.cat([network(part) for part in torch.split(images, BATCH)])


def _note_uncompared(compared: int, of: int, dtype: torch.dtype, skipped: list[Skipped]) -> None:
    if compared < of:
        check = f"outputs of the other {of - compared:,} images"
        reason = f"at most {COMPARED} of each split are compared in a fresh process"
        skipped.append(Skipped(check=check, reason=reason))
    if dtype != _SEARCHED:
        name = str(dtype).removeprefix("torch.")
        reason = f"the search measured in float32, but the files compute in {name}"
        skipped.append(Skipped(check=f"trained metrics in {name}", reason=reason))


def _first_images(split: Split) -> Tensor:
    some = torch.arange(min(len(split), COMPARED))
    return torch.cat([images for images, _ in split.batches(some, COMPARED)])


def check_cost(candidate: Candidate, skipped: list[Skipped]) -> dict[str, int]:
    """Check the closed-form cost against the operators of the trained network.

    Args:
        candidate: Candidate with the trained network.
        skipped: List of skipped checks, which is extended if an operator is not known.

    Returns:
        The counts by metric.

    Raises:
        WorkFailed: If the counts differ.
    """
    sample = torch.zeros(1, *candidate.space.data.image_shape)
    try:
        counted = count(candidate.network, sample)
    except WorkFailed as error:
        skipped.append(Skipped(check="flops of the network, by operator", reason=str(error)))
        return candidate.cost.numbers
    if counted != candidate.cost.flops:
        raise WorkFailed(
            f"flops is {counted} by the operators of the network, but {candidate.cost.flops} by "
            "the design"
        )
    return candidate.cost.numbers


def read_files(
    files: Exported, searched: Collection[str], skipped: list[Skipped]
) -> dict[str, tuple[Metric, Measurement]]:
    """Measure every metric that can be read from the exported files.

    Args:
        files: The loaded exported network.
        searched: Names of the metrics of the search.
        skipped: List of skipped checks, which is extended by the metrics whose reading failed.

    Returns:
        The metric and the reading by the name of the value.
    """
    found: dict[str, tuple[Metric, Measurement]] = {}
    metrics = {name: find(Metric, name) for name in {*names(Metric), *searched}}
    for name, metric in in_order(metrics).items():
        if metric.read_exported is None:
            continue
        try:
            readings = metric.read_exported(files)
        except WorkFailed as error:
            skipped.append(Skipped(check=f"{name} of the exported files", reason=str(error)))
            continue
        found |= {own: (metric, reading) for own, reading in readings.items()}
    return found


def check_shares(candidate: Candidate) -> None:
    """Check that the shares of all tensors add up to the cost of the design.

    Args:
        candidate: Candidate with the exported network.

    Raises:
        WorkFailed: If the sum differs from the cost.
    """
    total = sum(share.bits for share in tensor_shares(candidate.network).values())
    if total != candidate.cost.bits:
        raise WorkFailed(
            f"bits is {total:,} by the tensors of the network, but {candidate.cost.bits:,} by "
            "the design"
        )


def note_unmeasured(metrics: Mapping[str, Mapping[str, Any]], skipped: list[Skipped]) -> None:
    """List the metrics of the search that were not compared with the exported files.

    Args:
        metrics: Values by metric and source ("searched", "exported").
        skipped: List of skipped checks, which is extended.
    """
    for name, numbers in metrics.items():
        if "searched" in numbers and "exported" not in numbers:
            reason = "it is not measured on the exported files"
            skipped.append(Skipped(check=name, reason=reason))
