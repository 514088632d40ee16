"""What makes a training repeatable: random numbers of its own, and sums in one order."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def own_random_numbers(device: torch.device, seed: int) -> Iterator[None]:
    """Let a training draw its own random numbers; afterwards all is as before.

    Args:
        device: Where the training is.
        seed: Of its random numbers.
    """
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which seeds all GPUs too.
            torch.default_generator.manual_seed(seed)
            yield
        return
    module = torch.get_device_module(device)
    with torch.random.fork_rng([device], device_type=device.type), module.device(device):
        torch.default_generator.manual_seed(seed)
        module.manual_seed(seed)
        yield


@contextmanager
def repeatable_sums() -> Iterator[None]:
    """Let cuDNN take no operator that sums in another order each time; nothing else is changed."""
    own = torch.backends.cudnn
    before = own.deterministic, own.benchmark
    own.deterministic, own.benchmark = True, False
    try:
        yield
    finally:
        own.deterministic, own.benchmark = before


def random_state(device: torch.device) -> list[Tensor]:
    """Give where the random numbers of a training are: of the CPU, and of its device if another."""
    own = [torch.get_rng_state()]
    if device.type != "cpu":
        own.append(torch.get_device_module(device).get_rng_state(device))
    return own


def set_random_state(device: torch.device, state: list[Tensor]) -> None:
    """Go on with random numbers where they were.

    Args:
        device: Where the training is.
        state: Of `random_state`, on the same kind of device.
    """
    torch.set_rng_state(state[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state[1], device)


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """Shuffle images, for one epoch; neither other epochs nor other random numbers matter.

    Args:
        images: How many.
        seed: Of the training.
        epoch: From 0.

    Returns:
        The numbers 0 to images - 1, (images,) int64.
    """
    digest = hashlib.sha256(f"epoch {epoch} of seed {seed}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
    return torch.randperm(images, generator=generator)
