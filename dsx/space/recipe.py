"""Recipe: the training that fits a network without normalisation layers.

The rates of SGD that suit batch norm train nothing without it: of seven small networks on `digits`
(6 epochs), learning rate 0.1 brought two beyond 50 % with either of two seeds, while AdamW with
learning rate 0.01 and gradients clipped to norm 1 brought five beyond 70 %. No other setting tried
(SGD from 0.01 to 0.2, AdamW from 0.0005 to 0.01) was better on any of these five.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from dsx.space.yaml.schema import Train
from dsx.torch_private import NormBase

SMALL_PIXELS = 256
"""Largest number of pixels of a small image, whose networks are shallow and bear a large step."""

_NORMS = (NormBase, nn.GroupNorm, nn.LayerNorm)


def is_normalised(network: nn.Module) -> bool:
    """Check whether a network has a normalisation layer for at least half of its convolutions."""
    modules = list(network.modules())
    norms = sum(isinstance(module, _NORMS) for module in modules)
    return 2 * norms >= sum(isinstance(module, nn.Conv2d) for module in modules)


def plain_recipe(image_shape: Sequence[int]) -> dict[str, Any]:
    """Return the settings of `train` that fit a network without normalisation layers.

    Args:
        image_shape: Channels, rows, columns.
    """
    _, rows, columns = image_shape
    rate = 0.01 if rows * columns <= SMALL_PIXELS else 0.002
    return {"optimizer": "adamw", "learning_rate": rate, "clip": 1.0}


def fitted(train: Train, network: nn.Module, image_shape: Sequence[int]) -> Train:
    """Complete the training of a space whose file does not choose how weights are moved.

    Args:
        train: Settings of the space.
        network: Network of the space.
        image_shape: Channels, rows, columns.

    Returns:
        The settings; unchanged if the file gives one of the keys of the recipe, or the network is
        normalised.
    """
    recipe = plain_recipe(image_shape)
    if train.model_fields_set & {*recipe, "momentum"} or is_normalised(network):
        return train
    given: dict[str, Any] = {key: getattr(train, key) for key in train.model_fields_set}
    return Train.model_validate(given | recipe)
