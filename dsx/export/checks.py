"""Checks of an export against its network and the search, and which of them were skipped."""

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
from dsx.export.packing.contents import shares
from dsx.lookup import find, names
from dsx.measure import Candidate, Exported, Measurement, Metric
from dsx.measure.metrics import in_order
from dsx.measure.metrics.flops import count
from dsx.search import read_metric

ROUNDING = 1e-6
"""Difference of two equal values that have no interval, as a part of them."""
COMPARED = 256
"""Images of each split whose logits are compared in a fresh process."""

_SEARCHED = torch.float32
"""The dtype in which a search classifies images."""


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A check that was not made.

    Args:
        check: The quantity that was not verified.
        reason: The reason.
    """

    check: str
    reason: str


def check_weights(
    candidate: Candidate, searched: Mapping[str, Estimate], skipped: list[Skipped]
) -> None:
    """Measure what is read after a training as the search did: with the network itself, in float32.

    Args:
        candidate: The trained network.
        searched: The readings of the search, by metric.
        skipped: The list to which the checks that are not possible are added.

    Raises:
        WorkFailed: If a count or a value after the training differs from that of the search.
    """
    _check_learned(candidate, searched, skipped)
    metrics = {name: find(Metric, name) for name in searched}
    trained = {name: metric for name, metric in metrics.items() if metric.stage == "trained"}
    if not trained:
        reason = "the search measured nothing of this design with these weights"
        skipped.append(Skipped(check="the weights", reason=reason))
    for name, metric in trained.items():
        now, before = read_metric(name, metric, candidate).value, searched[name]
        # Rounding may decide the class of a single image.
        tolerance = max((before.high - before.low) / 10, ROUNDING * abs(before.value))
        if not abs(now - before.value) <= tolerance:
            raise WorkFailed(
                f"with these weights {name} is {now:.4f}, the search measured {before.value:.4f}"
            )


def _check_learned(
    candidate: Candidate, searched: Mapping[str, Estimate], skipped: list[Skipped]
) -> None:
    """Compare counts that depend on the training: learned shapes may come from another one."""
    if not candidate.design.learned:
        return
    for name, number in candidate.cost.numbers.items():
        if name not in searched:
            reason = "kernel shapes are learned, and the search did not count this"
            skipped.append(Skipped(check=f"{name} after training", reason=reason))
        elif searched[name].value != number:
            raise WorkFailed(
                f"with these weights the network has {number:,} {name}, "
                f"the search counted {searched[name].value:,.0f}"
            )


def check_outputs(candidate: Candidate, folder: Path, skipped: list[Skipped]) -> dict[str, float]:
    """Compare the logits that the files give in a fresh process with those of the network.

    Args:
        candidate: The trained network.
        folder: The exported files.
        skipped: The list to which the checks that are not made are added.

    Returns:
        Number of compared images, largest difference of the outputs and its tolerance.

    Raises:
        WorkFailed: If the files do not run, or the outputs differ by more than is tolerated.
    """
    dtype = candidate.sample.dtype
    network = set_mode(candidate.inference_copy(), False)
    parts = {"validation": candidate.splits.validation, "test": candidate.splits.test}
    images = {name: _first_images(part).to(dtype) for name, part in parts.items()}
    logits = verify.fresh_logits(folder, images)
    with torch.inference_mode():
        compared = [
            verify.largest_difference(logits[name], _in_batches(network, images[name]))
            for name in parts
        ]
    largest, tolerance = max(compared)
    number = sum(map(len, images.values()))
    _note_uncompared(number, sum(map(len, parts.values())), dtype, skipped)
    return {"images": number, "largest_difference": largest, "tolerance": tolerance}


def _in_batches(network: nn.Module, images: Tensor) -> Tensor:
    """Run a network in the batches of the fresh process, on which batch statistics depend."""
    return torch.cat([network(part) for part in torch.split(images, BATCH)])


def _note_uncompared(compared: int, of: int, dtype: torch.dtype, skipped: list[Skipped]) -> None:
    if compared < of:
        check = f"outputs of the other {of - compared:,} images"
        reason = f"at most {COMPARED} of each split are compared in a fresh process"
        skipped.append(Skipped(check=check, reason=reason))
    if dtype != _SEARCHED:
        name = str(dtype).removeprefix("torch.")
        reason = f"the search measured in float32, and the files compute in {name}"
        skipped.append(Skipped(check=f"trained metrics in {name}", reason=reason))


def _first_images(split: Split) -> Tensor:
    some = torch.arange(min(len(split), COMPARED))
    return torch.cat([images for images, _ in split.batches(some, COMPARED)])


def checked_cost(candidate: Candidate, skipped: list[Skipped]) -> dict[str, int]:
    """Count by closed form, and by the operators of the trained network if all are known.

    Args:
        candidate: The trained network.
        skipped: The list to which the check is added if an operator is not known.

    Returns:
        The counts by metric.

    Raises:
        WorkFailed: If the two differ.
    """
    sample = torch.zeros(1, *candidate.space.data.image_shape)
    try:
        counted = count(candidate.network, sample)
    except WorkFailed as error:
        skipped.append(Skipped(check="flops of the network, by operator", reason=str(error)))
        return candidate.cost.numbers
    if counted != candidate.cost.flops:
        raise WorkFailed(
            f"the network's operators count {counted} flops, its design {candidate.cost.flops}"
        )
    return candidate.cost.numbers


def read_files(
    files: Exported, searched: Collection[str], skipped: list[Skipped]
) -> dict[str, tuple[Metric, Measurement]]:
    """Measure the exported files for every metric that can be read off them.

    Args:
        files: The exported network as loaded.
        searched: Names of the metrics that the search measured.
        skipped: The list to which the metrics are added whose reading failed.

    Returns:
        Metric and reading by the name of the value.
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
    """Check that the tensors of a design together cost what the design costs.

    Args:
        candidate: The network that was exported.

    Raises:
        WorkFailed: If they cost something else.
    """
    total = sum(share.bits for share in shares(candidate.network).values())
    if total != candidate.cost.bits:
        raise WorkFailed(
            f"the network's tensors take {total:,} bits, its design {candidate.cost.bits:,}"
        )


def note_unmeasured(metrics: Mapping[str, Mapping[str, Any]], skipped: list[Skipped]) -> None:
    """Add the metrics of the search that were not compared with those of the exported files.

    Args:
        metrics: Values by metric and source ("searched", "exported").
        skipped: The list to which they are added.
    """
    for name, numbers in metrics.items():
        if "searched" in numbers and "exported" not in numbers:
            reason = "the exported files are not measured for it"
            skipped.append(Skipped(check=name, reason=reason))
