"""Trainings whose checkpoints have to store many kinds of state."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from dsx.space.yaml.schema import Augment, Train
from tests.train.networks import BINARY, LEARNED, with_decisions, with_dropout

IMAGES = 220
EPOCH_STEPS = 4
ALL_AUGMENTATIONS = Augment(crop=2, flip=True, cutout=3, mixup=0.4)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A training.

    Args:
        build: Function that builds the same new network each time.
        settings: Settings of the training.
        stop: Step in the middle of an epoch at which the training is interrupted.
    """

    build: Callable[[], nn.Module]
    settings: Train
    stop: int


CASES = {
    "random": Case(
        build=with_dropout,
        settings=Train(epochs=3, batch_size=50, seed=5, augment=ALL_AUGMENTATIONS, accumulate=2),
        stop=6,
    ),
    "adamw": Case(
        build=with_dropout,
        settings=Train(
            epochs=3, batch_size=50, optimizer="adamw", schedule="cosine", precision="bfloat16",
            channels_last=True, clip=1.0,
        ),
        stop=7,
    ),
    # Outputs are enabled in steps 0 to 2 of 40; shapes are learned, and frozen from step 20.
    "warming": Case(
        build=lambda: with_decisions(LEARNED), settings=Train(epochs=10, batch_size=50), stop=3
    ),
    "learning": Case(
        build=lambda: with_decisions(LEARNED), settings=Train(epochs=3, batch_size=50), stop=5
    ),
    "frozen": Case(
        build=lambda: with_decisions(LEARNED), settings=Train(epochs=3, batch_size=50), stop=9
    ),
    "binary": Case(
        build=lambda: with_decisions(BINARY), settings=Train(epochs=3, batch_size=50), stop=6
    ),
}  # fmt: skip
