"""Training settings for networks without normalisation layers.

Learning rates of SGD that suit batch norm fail without it: of seven small networks on `digits` (6
epochs), learning rate 0.1 trained two to more than 50 % accuracy with either of two seeds, while
AdamW with learning rate 0.01 and gradients clipped to norm 1 trained five to more than 70 %. No
other setting that was tried (SGD from 0.01 to 0.2, AdamW from 0.0005 to 0.01) was better on any of
these five.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from dsx.space.yaml.schema import Train
from dsx.torch_private import NormBase

SMALL_PIXELS = 256
"""Largest number of pixels of a small image; networks for small images are shallow, so that they
train with a large learning rate."""

_NORMS = (NormBase, nn.GroupNorm, nn.LayerNorm)


def is_normalised(network: nn.Module) -> bool:
    """Check whether a network has at least one normalisation layer per two convolutions.

    Args:
        network: Any network.
    """
    modules = list(network.modules())
    norms = sum(isinstance(module, _NORMS) for module in modules)
    return 2 * norms >= sum(isinstance(module, nn.Conv2d) for module in modules)


def unnormalised_recipe(image_shape: Sequence[int]) -> dict[str, Any]:
    """Return the settings of `train` for networks without normalisation layers.

    Args:
        image_shape: Channels, rows and columns of an image.

    Returns:
        Settings by key of `train`.
    """
    _, rows, columns = image_shape
    rate = 0.01 if rows * columns <= SMALL_PIXELS else 0.002
    return {"optimizer": "adamw", "learning_rate": rate, "clip": 1.0}


def fit_training(train: Train, network: nn.Module, image_shape: Sequence[int]) -> Train:
    """Complete the training settings of a space that specifies neither optimiser nor learning rate.

    Args:
        train: Training settings of the space.
        network: Network of the space.
        image_shape: Channels, rows and columns of an image.

    Returns:
        The settings; unchanged if the file specifies one of the keys of the recipe or the momentum,
        or if the network is normalised.
    """
    recipe = unnormalised_recipe(image_shape)
    if train.model_fields_set & {*recipe, "momentum"} or is_normalised(network):
        return train
    given: dict[str, Any] = {key: getattr(train, key) for key in train.model_fields_set}
    return Train.model_validate(given | recipe)
