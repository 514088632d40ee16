"""Probe: checks that a network still computes the same if its slots hold other modules."""

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
from dsx.space.probe.behaviour import check_behaviour, check_state, random_sources
from dsx.space.probe.conditions import check_measured, check_trained
from dsx.space.probe.deployable import check_deployed
from dsx.space.redesign import redesign
from dsx.space.space import SearchSpace


def probe(space: SearchSpace) -> tuple[str, ...]:
    """Check all assumptions about a network before it is measured.

    The network is run in eval mode, as it will be measured, and as it will be trained. Then all
    slots with options are redesigned, each of them must be called as before, and the result is
    deployed.

    Args:
        space: Search space.

    Returns:
        Notes for the user about the network, one sentence each.

    Raises:
        SpaceError: If the network is random in eval mode, does not run under `measure`, cannot be
            trained or stored, bypasses a redesigned slot, fails with one, or computes another
            output after it is deployed.
    """
    try:
        with torch.random.fork_rng(), activity(Kind.PROBING_NETWORK):
            # The result is reproducible even if the network is random.
            torch.manual_seed(0)
            network, images = space.network(fresh=True), _images(space)
            notes = check_behaviour(network, images)
            check_measured(network, space)
            check_state(network, check_trained(network, space), images)
            native = space.file.measure.deploy != "portable"
            _check_deployed(_check_slots(network, space), images, native)
            if space.missing is None and space.file.weights is not None:
                notes = check_behaviour(space.network(), images)
    # The error already names a key.
    except SpaceError:
        raise
    except DsxError as error:
        raise space.source.error(("model",), str(error)) from error
    return tuple(notes)


def fingerprint(space: SearchSpace) -> str:
    """Compute a hash of the modules and outputs of a network, which detects changes of its code.

    Args:
        space: Search space.

    Returns:
        Twelve hexadecimal digits: a hash of the modules of the network, and of its outputs in eval
        and train mode for seeded weights and a seeded input.
    """
    # Independent of the training seed.
    train = space.file.train.model_copy(update={"seed": 0})
    space = dataclasses.replace(space, file=space.file.model_copy(update={"train": train}))
    network = space.network(fresh=True)
    digest = hashlib.sha256(repr(network).encode())
    with torch_threads(1):  # a fixed order of summation
        for training in (False, True):
            first, second = (_seeded(set_mode(network, training), space) for _ in range(2))
            # Outputs that depend on other generators than that of torch are not reproducible.
            if first == second:
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
    """Redesign all slots with options, and check that each is called as before."""
    slots = {slot.name: slot for options in space.slot_options for slot in options.slots}
    specs: dict[str, ConvSpec] = {}
    for options in space.slot_options:
        specs |= next((s for s in options.settings() if not all(k.keeps for k in s.values())), {})
    redesigned = set_mode(redesign(network, specs), False)
    names = {module: name for name, module in redesigned.named_modules()}
    images: dict[str, Counter[tuple[int, int]]] = {name: Counter() for name in specs}

    def record(conv: nn.Module, args: object, out: Tensor) -> None:
        images[names[conv]][out.shape[-2], out.shape[-1]] += out[..., 0, 0, 0].numel()

    hooks = []
    for name, spec in specs.items():
        conv = redesigned.get_submodule(name)
        if not spec.keeps:
            assert isinstance(conv, DsxConv)
            hooks.append(conv.register_forward_hook(record))
    sample = torch.zeros(2, *space.data.image_shape)
    try:
        run(redesigned, sample)
    except DsxError as error:
        raise DsxError(f"with redesigned slots {error}{_remedy(error.__cause__, names)}") from error
    for hook in hooks:
        hook.remove()
    for name, spec in specs.items():
        if not spec.keeps and images[name] != _expected(slots[name], len(sample)):
            raise DsxError(_explain_bypass(network, name))
    return redesigned


def _check_deployed(network: nn.Module, images: Tensor, native: bool) -> None:
    """Deploy a redesigned network; if it fails, report whether random numbers are the reason."""
    try:
        check_deployed(network, images, native)
    except DsxError as error:
        draws = random_sources(network, images)
        if not draws:
            raise
        raise DsxError(
            f"{draws} random numbers in eval mode, which a deployed network does not reproduce, "
            "since the trace of torch.fx contains neither seeding nor calls of other libraries: "
            f"draw them once in __init__ into a buffer, or in train mode only ({error})"
        ) from error


def _explain_bypass(network: nn.Module, name: str) -> str:
    """Return the reason why a slot is not called as before when it is redesigned."""
    keep = _keeping(name)
    held = second_reference(network, name)
    if held is not None:
        return (
            f"it also holds {name} in '{held}', an attribute that torch does not search for "
            f"modules, so that it still calls the original convolution when {name} is redesigned: "
            f"call it as {name}, or {keep}"
        )
    return (
        f"its code bypasses {name} when it is redesigned (for example by isinstance checks on "
        f"nn.Conv2d): {keep}"
    )


def _remedy(error: BaseException | None, names: Mapping[nn.Module, str]) -> str:
    """Return advice to keep a slot if the network reads an attribute that a dsx module lacks."""
    if isinstance(error, AttributeError) and isinstance(error.obj, DsxConv):
        return f"; {_keeping(names[error.obj])}"
    return ""


def _keeping(slot: str) -> str:
    return f"keep the slot with a rule before the others: {{match: '{slot}', keep: true}}"


def _expected(slot: Slot, batch: int) -> "Counter[tuple[int, int]]":
    return Counter({size: batch * calls for size, calls in Counter(slot.out_hw).items()})
