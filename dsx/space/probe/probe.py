"""Probe: whether a network still computes as it did once its slots hold other modules."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dsx.activity import Kind, activity
from dsx.conv import ConvSpec, DsxConv, set_mode
from dsx.errors import DsxError, SpaceError
from dsx.process import torch_threads
from dsx.space.network.closures import second_reference
from dsx.space.network.network import run
from dsx.space.network.slots import Slot
from dsx.space.probe.behaviour import check_behaviour, check_state, why_random
from dsx.space.probe.conditions import check_measured, check_trained
from dsx.space.probe.deployable import check_deployed
from dsx.space.redesign import redesign
from dsx.space.space import SearchSpace


def probe(space: SearchSpace) -> tuple[str, ...]:
    """Check everything that is taken for granted of a network, before it is measured.

    It is run in eval mode, as it will be measured, and as it will be trained; then all slots that
    may be redesigned are, each has to be called as before, and the result is deployed.

    Args:
        space: The space.

    Returns:
        What the user should know about the network, as sentences.

    Raises:
        SpaceError: If the network is random in eval mode, does not run under `measure`, cannot
            be trained or stored, goes around a redesigned slot, fails with one, or does not
            compute the same once it is deployed.
    """
    try:
        with torch.random.fork_rng(), activity(Kind.PROBING_NETWORK):
            # The result is the same each time, also if the network is random.
            torch.manual_seed(0)
            network, images = space.network(fresh=True), _images(space)
            notes = check_behaviour(network, images)
            check_measured(network, space)
            check_state(network, check_trained(network, space), images)
            _check_deployed(_check_slots(network, space), images)
            if space.missing is None and space.file.weights is not None:
                notes = check_behaviour(space.network(), images)
    # It names the key already.
    except SpaceError:
        raise
    except DsxError as error:
        raise space.source.error(("model",), str(error)) from error
    return tuple(notes)


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
    network = space.network(fresh=True)
    digest = hashlib.sha256(repr(network).encode())
    with torch_threads(1):  # sums in one order
        for training in (False, True):
            first, again = (_seeded(set_mode(network, training), space) for _ in range(2))
            # One that draws from elsewhere than torch is never the same: its modules have to do.
            if first == again:
                digest.update(first)
    return digest.hexdigest()[:12]


def _seeded(network: nn.Module, space: SearchSpace) -> bytes:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return run(network, _images(space)).contiguous().numpy().tobytes()


def _images(space: SearchSpace) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *space.data.image_shape, generator=generator)


def _check_slots(network: nn.Module, space: SearchSpace) -> nn.Module:
    """Redesign all slots that may be, and see that each is called as before."""
    slots = {slot.name: slot for choices in space.choices for slot in choices.slots}
    specs: dict[str, ConvSpec] = {}
    for choices in space.choices:
        specs |= next((s for s in choices.settings() if not all(k.keeps for k in s.values())), {})
    small = set_mode(redesign(network, specs), False)
    names = {module: name for name, module in small.named_modules()}
    images: dict[str, Counter[tuple[int, int]]] = {name: Counter() for name in specs}

    def note(conv: nn.Module, given: object, out: Tensor) -> None:
        images[names[conv]][out.shape[-2], out.shape[-1]] += out[..., 0, 0, 0].numel()

    hooks = []
    for name, spec in specs.items():
        conv = small.get_submodule(name)
        if not spec.keeps:
            assert isinstance(conv, DsxConv)
            hooks.append(conv.register_forward_hook(note))
    sample = torch.zeros(2, *space.data.image_shape)
    try:
        run(small, sample)
    except DsxError as error:
        raise DsxError(f"with redesigned slots {error}{_remedy(error.__cause__, names)}") from error
    for hook in hooks:
        hook.remove()
    for name, spec in specs.items():
        if not spec.keeps and images[name] != _expected(slots[name], len(sample)):
            raise DsxError(_why_not_called(network, name))
    return small


def _check_deployed(network: nn.Module, images: Tensor) -> None:
    """Deploy a redesigned network, and say if it fails since the network draws random numbers."""
    try:
        check_deployed(network, images)
    except DsxError as error:
        draws = why_random(network, images)
        if not draws:
            raise
        raise DsxError(
            f"{draws} random numbers in eval mode, which a deployed network does not repeat, since "
            "the trace of torch.fx holds neither the seeding nor draws of other libraries: draw "
            f"once in __init__ and keep the numbers in a buffer, or in train mode only ({error})"
        ) from error


def _why_not_called(network: nn.Module, name: str) -> str:
    """Return the reason why a slot is not called as before once it is redesigned."""
    keep = _keeping(name)
    held = second_reference(network, name)
    if held is not None:
        return (
            f"it keeps {name} also in '{held}', an attribute that torch does not search for "
            f"modules, and goes on to call the former convolution there once {name} is redesigned: "
            f"call it as {name}, or {keep}"
        )
    return (
        f"its code goes around {name} once that is redesigned (does it ask for the type of its "
        f"modules?): {keep}"
    )


def _remedy(error: BaseException | None, names: Mapping[nn.Module, str]) -> str:
    """Name the slot to keep if the code of a network reads an attribute that is missing."""
    if isinstance(error, AttributeError) and isinstance(error.obj, DsxConv):
        return f"; {_keeping(names[error.obj])}"
    return ""


def _keeping(slot: str) -> str:
    return f"keep the slot by a rule before the others: {{match: '{slot}', keep: true}}"


def _expected(slot: Slot, batch: int) -> "Counter[tuple[int, int]]":
    return Counter({size: batch * calls for size, calls in Counter(slot.out_hw).items()})
