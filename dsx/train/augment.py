"""Training images changed at random: whole batches at once, on the device they are on.

Images are normalised, so that 0 is the mean. All random numbers are torch's own, which the training
has seeded; nothing is drawn for what is switched off.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from dsx.space.yaml import Augment

Targets = list[tuple[Tensor, Tensor | float]]
"""Labels (B,) with their shares, which sum to one."""


def augment(images: Tensor, labels: Tensor, settings: Augment) -> tuple[Tensor, Targets]:
    """Change a batch as the settings say.

    Args:
        images: (B, C, H, W), normalised.
        labels: (B,) int64.
        settings: What to do, in this order: crop, flip, cutout, mixup.

    Returns:
        Images (B, C, H, W), and what they show.
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
    """Shift each image by up to `pad` pixels both ways; what comes in from outside is 0.

    Args:
        images: (B, C, H, W).
        pad: Pixels around the image from which the new one is cut.

    Returns:
        (B, C, H, W).
    """
    batch, _, rows, columns = images.shape
    padded = F.pad(images, (pad, pad, pad, pad))
    windows = padded.unfold(2, rows, 1).unfold(3, columns, 1)
    down, right = torch.randint(2 * pad + 1, (2, batch), device=images.device)
    return windows[torch.arange(batch, device=images.device), :, down, right]


def flip(images: Tensor) -> Tensor:
    """Mirror each image, left to right, with probability 1/2.

    Args:
        images: (B, C, H, W).

    Returns:
        (B, C, H, W).
    """
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def cutout(images: Tensor, size: int) -> Tensor:
    """Set a square to 0 in each image; any pixel can be its middle, so that it may be cut.

    Args:
        images: (B, C, H, W).
        size: Pixels of a side.

    Returns:
        (B, C, H, W).

    Source:
        T. DeVries and G. W. Taylor, Cutout (arXiv 1708.04552).
    """
    covered = torch.ones((), dtype=torch.bool, device=images.device)
    for dim in (2, 3):
        shape = [1, 1, 1, 1]
        shape[dim] = images.shape[dim]
        place = torch.arange(images.shape[dim], device=images.device).reshape(shape)
        middle = torch.randint(images.shape[dim], (len(images), 1, 1, 1), device=images.device)
        first = middle - size // 2
        covered = covered & (place >= first) & (place < first + size)
    return images.masked_fill(covered, 0.0)


def mixup(images: Tensor, labels: Tensor, alpha: float) -> tuple[Tensor, Targets]:
    """Mix each image with another one of the batch, all in the same proportion.

    Args:
        images: (B, C, H, W).
        labels: (B,).
        alpha: The proportion is drawn from Beta(alpha, alpha).

    Returns:
        Images (B, C, H, W), and the labels of both with their shares.

    Source:
        H. Zhang et al., mixup (arXiv 1710.09412); one proportion a batch, as in their code.
    """
    share = torch.distributions.Beta(*images.new_tensor([alpha, alpha])).sample()
    other = torch.randperm(len(images), device=images.device)
    return torch.lerp(images[other], images, share), [
        (labels, share),
        (labels[other], 1 - share),
    ]
