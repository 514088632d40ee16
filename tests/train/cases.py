"""Trainings that remember much on their way: what a checkpoint has to hold."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from dsx.space.yaml.schema import Augment, Train
from tests.train.networks import BINARY, LEARNED, deciding, dropping

IMAGES = 220
EPOCH_STEPS = 4
ALL_CHANGES = Augment(crop=2, flip=True, cutout=3, mixup=0.4)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A training.

    Args:
        build: Gives the same fresh network every time.
        settings: Of the training.
        stop: A step in the middle of an epoch.
    """

    build: Callable[[], nn.Module]
    settings: Train
    stop: int


CASES = {
    "random": Case(
        build=dropping,
        settings=Train(epochs=3, batch_size=50, seed=5, augment=ALL_CHANGES, accumulate=2),
        stop=6,
    ),
    "adamw": Case(
        build=dropping,
        settings=Train(
            epochs=3, batch_size=50, optimizer="adamw", schedule="cosine", precision="bfloat16",
            channels_last=True, clip=1.0,
        ),
        stop=7,
    ),
    # Draws in steps 0 to 2 of 40, shapes that learn, frozen from step 20 on.
    "warming": Case(
        build=lambda: deciding(LEARNED), settings=Train(epochs=10, batch_size=50), stop=3
    ),
    "learning": Case(
        build=lambda: deciding(LEARNED), settings=Train(epochs=3, batch_size=50), stop=5
    ),
    "frozen": Case(
        build=lambda: deciding(LEARNED), settings=Train(epochs=3, batch_size=50), stop=9
    ),
    "binary": Case(
        build=lambda: deciding(BINARY), settings=Train(epochs=3, batch_size=50), stop=6
    ),
}  # fmt: skip
