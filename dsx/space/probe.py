"""Probe: whether a network still computes as it did once its slots hold other modules."""

import dataclasses
import hashlib
from collections import Counter

import torch
from torch import Tensor, nn

from dsx.activity import activity
from dsx.conv import ConvSpec, DsxConv
from dsx.errors import DsxError, raise_out_of_memory
from dsx.space.network import copied, run
from dsx.space.redesign import redesign
from dsx.space.slots import Slot
from dsx.space.space import SearchSpace


def probe(space: SearchSpace) -> None:
    """Redesign all slots that may be, and see that each is called as before; train one step.

    Args:
        space: The space.

    Raises:
        SpaceError: If the network goes around a redesigned slot, fails with one, or cannot be
            trained.
    """
    try:
        with torch.random.fork_rng(), activity("checking that the network can be redesigned"):
            network = space.network(fresh=True)
            _check_training(network, space)
            _check_slots(network, space)
    except DsxError as error:
        raise space.source.error(("model",), str(error)) from error


def fingerprint(space: SearchSpace) -> str:
    """Hash what the network of a space is and computes, so that changed code is noticed.

    Args:
        space: The space.

    Returns:
        Twelve hexadecimal digits of its modules, and of its outputs for seeded weights and a seeded
        input, in eval and in train mode.
    """
    # The same whatever seed it will be trained with.
    train = space.file.train.model_copy(update={"seed": 0})
    space = dataclasses.replace(space, file=space.file.model_copy(update={"train": train}))
    network, threads = space.network(fresh=True), torch.get_num_threads()
    digest = hashlib.sha256(repr(network).encode())
    torch.set_num_threads(1)  # sums in one order
    try:
        for training in (False, True):
            first, again = (_seeded(network.train(training), space) for _ in range(2))
            # One that draws from elsewhere than torch is never the same: its modules have to do.
            if first == again:
                digest.update(first)
    finally:
        torch.set_num_threads(threads)
    return digest.hexdigest()[:12]


def _seeded(network: nn.Module, space: SearchSpace) -> bytes:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return run(network, _images(space)).contiguous().numpy().tobytes()


def _images(space: SearchSpace) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *space.data.image_shape, generator=generator)


def _check_training(network: nn.Module, space: SearchSpace) -> None:
    """Run forward and backward in train mode, where a network may do other things."""
    images, twin = _images(space), copied(network).train()
    try:
        output = twin(images)
    # The user's own code, in train mode: whatever it raises is about that.
    except Exception as error:
        raise_out_of_memory(error)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DsxError(f"the network does not run in train mode: {reason}") from error
    if not isinstance(output, Tensor):
        raise DsxError(f"the network returns a {type(output).__name__} in train mode, not a tensor")
    if tuple(output.shape) != (len(images), space.data.classes):
        shape = " x ".join(map(str, output.shape))
        raise DsxError(
            f"the network returns {shape} for {len(images)} images in train mode, the data has "
            f"{space.data.counted_classes}"
        )
    if not output.requires_grad:
        raise DsxError("the network's output does not depend on any weight that can be trained")


def _check_slots(network: nn.Module, space: SearchSpace) -> None:
    slots = {slot.name: slot for choices in space.choices for slot in choices.slots}
    specs: dict[str, ConvSpec] = {}
    for choices in space.choices:
        specs |= next((s for s in choices.settings() if not all(k.keeps for k in s.values())), {})
    small = redesign(network, specs).eval()
    names = {module: name for name, module in small.named_modules()}
    images: dict[str, Counter[tuple[int, int]]] = {name: Counter() for name in specs}

    def note(conv: nn.Module, given: object, out: Tensor) -> None:
        images[names[conv]][out.shape[-2], out.shape[-1]] += out[..., 0, 0, 0].numel()

    for name, spec in specs.items():
        conv = small.get_submodule(name)
        if not spec.keeps:
            assert isinstance(conv, DsxConv)
            conv.register_forward_hook(note)
    sample = torch.zeros(2, *space.data.image_shape)
    try:
        run(small, sample)
    except DsxError as error:
        raise DsxError(f"with redesigned slots {error}") from error
    for name, spec in specs.items():
        if not spec.keeps and images[name] != _expected(slots[name], len(sample)):
            rule = f"{{match: '{name}', keep: true}}"
            raise DsxError(
                f"its code goes around {name} once that is redesigned (does it ask for the type of "
                f"its modules?): keep the slot by a rule before the others: {rule}"
            )


def _expected(slot: Slot, batch: int) -> "Counter[tuple[int, int]]":
    return Counter({size: batch * calls for size, calls in Counter(slot.out_hw).items()})
