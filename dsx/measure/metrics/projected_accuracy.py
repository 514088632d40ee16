"""Projected accuracy: top-1 on the validation split before any training, 0 to 1.

What is kept of pretrained weights, as it is: how well a design starts. BNs of a redesigned network
take their statistics anew first, without which the number says little.
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
from dsx.measure.candidate import Candidate
from dsx.measure.metrics._base import Metric
from dsx.measure.metrics.accuracy import share_of_hits
from dsx.space import SearchSpace
from dsx.torch_private import BatchNorm

IMAGES, BATCH = 2048, 128


def read(candidate: Candidate) -> Measurement:
    """Build the network with what is kept of its weights, and classify the validation split."""
    network = candidate.build()
    if candidate.design.changed:
        with torch.random.fork_rng(), candidate.at_leisure() as yield_device:
            # Dropout is at work while statistics are taken.
            torch.manual_seed(candidate.space.file.train.seed)
            with _frozen_norms_kept(network):
                update_bn(_some(candidate.splits.train, yield_device), network)
    return share_of_hits(candidate, set_mode(network, False))


@contextmanager
def _frozen_norms_kept(network: nn.Module) -> Iterator[None]:
    """Keep the statistics of batch norms that stay in eval mode while the network is trained.

    `update_bn` resets those of all batch norms, and these would not be estimated again.
    """
    set_mode(network, True)
    frozen = [m for m in network.modules() if isinstance(m, BatchNorm) and not m.training]
    before = [{name: tensor.clone() for name, tensor in m.state_dict().items()} for m in frozen]
    yield
    for norm, state in zip(frozen, before, strict=True):
        norm.load_state_dict(state)


def _some(split: Split, yield_device: Callable[[], None]) -> Iterator[Tensor]:
    """Give batches of training images of all classes, the same ones every time."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    size = min(BATCH, len(split))
    # Whole batches: a BN behind a pool over all pixels cannot do with a single image.
    some = order[: min(IMAGES, len(split) // size * size)]
    with activity(Kind.ESTIMATING_NORMS, len(some)) as progress:
        for images, _ in split.batches(some, size):
            yield images
            progress.advance(progress.done + len(images))
            yield_device()


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """Data, kept weights and the seed of fresh ones; how training goes on makes no difference."""
    facts = {name: value for name, value in space.training.items() if name != "train"}
    seed = space.file.train.seed
    return {"version": 1, "batch_norm_images": IMAGES, "seed": seed, **facts}


def lacks(space: SearchSpace) -> str:
    """Say that a space without weights to begin with has nothing to project."""
    return "" if space.file.weights is not None else "needs weights to begin with (weights: FILE)"


METRIC = Metric(
    unit="fraction",
    direction="maximize",
    stage="projected",
    read=read,
    protocol=protocol,
    always=True,
    lacks=lacks,
)
