"""Random augmentation of training images, for whole batches on their device.

Images are normalised, so that 0 is the mean. Random numbers come from the generators of torch,
which the training seeds; augmentations that are disabled draw none.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from dsx.space.yaml import Augment

Targets = list[tuple[Tensor, Tensor | float]]
"""Labels (B,) with their weights, which sum to 1."""


def augment(images: Tensor, labels: Tensor, settings: Augment) -> tuple[Tensor, Targets]:
    """Augment a batch.

    Args:
        images: Batch of normalised images, (B, C, H, W).
        labels: Labels, (B,) int64.
        settings: Augmentations to apply, in the order crop, flip, cutout, mixup.

    Returns:
        The augmented images, (B, C, H, W), and their labels with weights.
    """
    if settings.crop:
        images = crop(images, settings.crop)
    if settings.flip:
        images = flip(images)
    if settings.cutout:
        images = cutout(images, settings.cutout)
    if settings.mixup:
        return mixup(images, labels, settings.mixup)
    return images, [(labels, 1.0)]


def crop(images: Tensor, pad: int) -> Tensor:
    """Crop each image at random from the image padded with zeros.

    Args:
        images: Batch of images, (B, C, H, W).
        pad: Padding on each side in pixels.

    Returns:
        The cropped images, (B, C, H, W).
    """
    batch, _, rows, columns = images.shape
    padded = F.pad(images, (pad, pad, pad, pad))
    windows = padded.unfold(2, rows, 1).unfold(3, columns, 1)
    down, right = torch.randint(2 * pad + 1, (2, batch), device=images.device)
    return windows[torch.arange(batch, device=images.device), :, down, right]


def flip(images: Tensor) -> Tensor:
    """Flip each image horizontally with probability 1/2.

    Args:
        images: Batch of images, (B, C, H, W).

    Returns:
        The flipped images, (B, C, H, W).
    """
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def cutout(images: Tensor, size: int) -> Tensor:
    """Set a random square to 0 in each image.

    Args:
        images: Batch of images, (B, C, H, W).
        size: Side of the square in pixels. Its centre can be any pixel, so that the square may
            extend beyond the image.

    Returns:
        The masked images, (B, C, H, W).

    Source:
        T. DeVries and G. W. Taylor, Cutout (arXiv 1708.04552).
    """
    covered = torch.ones((), dtype=torch.bool, device=images.device)
    for dim in (2, 3):
        shape = [1, 1, 1, 1]
        shape[dim] = images.shape[dim]
        position = torch.arange(images.shape[dim], device=images.device).reshape(shape)
        centre = torch.randint(images.shape[dim], (len(images), 1, 1, 1), device=images.device)
        first = centre - size // 2
        covered = covered & (position >= first) & (position < first + size)
    return images.masked_fill(covered, 0.0)


def mixup(images: Tensor, labels: Tensor, alpha: float) -> tuple[Tensor, Targets]:
    """Mix each image with another one of the batch, all with the same weight.

    Args:
        images: Batch of images, (B, C, H, W).
        labels: Labels, (B,).
        alpha: Parameter of the distribution Beta(alpha, alpha) of the weight.

    Returns:
        The mixed images, (B, C, H, W), and the labels of both images with their weights.

    Source:
        H. Zhang et al., mixup (arXiv 1710.09412); one weight per batch, as in their code.
    """
    weight = torch.distributions.Beta(*images.new_tensor([alpha, alpha])).sample()
    other = torch.randperm(len(images), device=images.device)
    return torch.lerp(images[other], images, weight), [
        (labels, weight),
        (labels[other], 1 - weight),
    ]
