"""Classification of images with a trained network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dsx.activity import Kind, activity
from dsx.data import Split

BATCH = 512


def device_of(network: nn.Module) -> torch.device:
    """Return the device of a network.

    Args:
        network: Network whose parameters are all on one device.

    Returns:
        The device of the first parameter; the CPU if there are no parameters.
    """
    first = next(iter(network.parameters()), None)
    return torch.device("cpu") if first is None else first.device


def predict(
    network: nn.Module,
    split: Split,
    dtype: torch.dtype = torch.float32,
    yield_device: Callable[[], None] = lambda: None,
) -> Tensor:
    """Classify images.

    Args:
        network: Network in eval mode.
        split: Images to classify.
        dtype: Dtype of the images that the network accepts.
        yield_device: Callback that is called between two batches, and may block.

    Returns:
        The class with the largest logit of each image, (N,), on the CPU.
    """
    classes: list[Tensor] = []
    with torch.inference_mode(), activity(Kind.CLASSIFYING, len(split)) as progress:
        for images, _ in split.batches(torch.arange(len(split)), BATCH, device_of(network)):
            progress.advance(BATCH * len(classes))
            classes.append(network(images.to(dtype)).argmax(1))
            yield_device()
    return torch.cat(classes).cpu()
