"""Reproducibility of a training: a separate random state, and deterministic sums."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def seeded_random_state(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the random number generators within the context, and restore them afterwards.

    Args:
        device: Device of the training.
        seed: Seed of the generators.
    """
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            # Not `torch.manual_seed`, which also seeds all GPUs.
            torch.default_generator.manual_seed(seed)
            yield
        return
    module = torch.get_device_module(device)
    with torch.random.fork_rng([device], device_type=device.type), module.device(device):
        torch.default_generator.manual_seed(seed)
        module.manual_seed(seed)
        yield


@contextmanager
def deterministic_cudnn() -> Iterator[None]:
    """Restrict cuDNN to deterministic operators within the context."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def random_state(device: torch.device) -> list[Tensor]:
    """Return the states of the random number generators of a training.

    Args:
        device: Device of the training.

    Returns:
        The state of the CPU generator, and that of the device if it is not the CPU.
    """
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state(device))
    return states


def set_random_state(device: torch.device, state: list[Tensor]) -> None:
    """Restore the states of the random number generators of a training.

    Args:
        device: Device of the training.
        state: Return value of `random_state` for a device of the same type.
    """
    torch.set_rng_state(state[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state[1], device)


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """Shuffle the images of one epoch, independently of other epochs and random numbers.

    Args:
        images: Number of images.
        seed: Seed of the training.
        epoch: Index of the epoch, starting from 0.

    Returns:
        A permutation of the indices 0 to images - 1, (images,) int64.
    """
    digest = hashlib.sha256(f"epoch {epoch} of seed {seed}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
    return torch.randperm(images, generator=generator)
