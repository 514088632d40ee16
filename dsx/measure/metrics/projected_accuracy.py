"""Projected accuracy: top-1 accuracy on the validation split before training, from 0 to 1.

The pretrained weights are projected onto the redesigned network without any training. The running
statistics of its batch norms are estimated again first.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from dsx.activity import Kind, activity
from dsx.analysis import Measurement
from dsx.conv import set_mode
from dsx.data import Split
from dsx.errors import Unsupported
from dsx.measure.candidate import Candidate
from dsx.measure.metrics._base import Metric
from dsx.measure.metrics.accuracy import measure_accuracy
from dsx.space import SearchSpace
from dsx.torch_private import BatchNorm

IMAGES, BATCH = 2048, 128


def read(candidate: Candidate) -> Measurement:
    """Measure the accuracy of a candidate with projected weights.

    Args:
        candidate: The candidate.

    Returns:
        The accuracy.
    """
    network = candidate.build()
    if candidate.design.changed:
        with torch.random.fork_rng(), candidate.shared_devices() as yield_device:
            # Dropout is active while the statistics are estimated.
            torch.manual_seed(candidate.space.file.train.seed)
            with _frozen_norms_kept(network):
                update_bn(_training_images(candidate.splits.train, yield_device), network)
    return measure_accuracy(candidate, set_mode(network, False))


@contextmanager
def _frozen_norms_kept(network: nn.Module) -> Iterator[None]:
    """Preserve the statistics of batch norms that remain in eval mode in a network in train mode.

    `update_bn` resets the statistics of all batch norms, but does not estimate these again.
    """
    set_mode(network, True)
    frozen = [m for m in network.modules() if isinstance(m, BatchNorm) and not m.training]
    before = [{name: tensor.clone() for name, tensor in m.state_dict().items()} for m in frozen]
    yield
    for norm, state in zip(frozen, before, strict=True):
        norm.load_state_dict(state)


def _training_images(split: Split, yield_device: Callable[[], None]) -> Iterator[Tensor]:
    """Yield batches of the same random training images every time."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    size = min(BATCH, len(split))
    # Full batches only, because a BN after global pooling requires more than one image.
    selected = order[: min(IMAGES, len(split) // size * size)]
    with activity(Kind.ESTIMATING_NORMS, len(selected)) as progress:
        for images, _ in split.batches(selected, size):
            yield images
            progress.advance(progress.done + len(images))
            yield_device()


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """Return the data, the pretrained weights and the seed, without the training settings.

    Args:
        space: The space.

    Returns:
        Plain JSON values.
    """
    facts = {name: value for name, value in space.training.items() if name != "train"}
    seed = space.file.train.seed
    return {"version": 1, "batch_norm_images": IMAGES, "seed": seed, **facts}


def unsupported(space: SearchSpace) -> Unsupported | None:
    """Check whether a space has pretrained weights to project.

    Args:
        space: The space.

    Returns:
        The reason why the metric cannot be measured; None if it can.
    """
    if space.file.weights is None:
        return Unsupported("needs pretrained weights (weights: FILE)")
    return None


METRIC = Metric(
    unit="fraction",
    direction="maximize",
    stage="projected",
    read=read,
    protocol=protocol,
    always=True,
    unsupported=unsupported,
)
