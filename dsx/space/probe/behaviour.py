"""Checks, on a few images, of what dsx assumes about the behaviour of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dsx.conv import set_mode
from dsx.errors import DsxError, raise_out_of_memory, with_type
from dsx.space.network.network import copy_network, run
from dsx.space.probe.generators import watch_generators
from dsx.space.weights.state import restore, state_of
from dsx.torch_private import NormBase, intercept_operators, is_overload, named_arguments

TOLERANCE = 1e-4
"""Largest difference of two equal outputs, relative to the largest value; another order of
summation causes smaller differences."""
RERUNS = 16
"""Number of repeated runs of a network that changes its state or is random in eval mode."""
NOISE = 0.1
"""Standard deviation of the noise added to weights, so that a head initialised with zeros depends
on the image."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """Behaviour of a network that was run repeatedly on the same images.

    Args:
        output: Output of the network.
        draws: Operators of torch and generators of other libraries that have drawn random numbers.
        normalising: Number of batch norms in one run that used the statistics of the batch.
    """

    output: Tensor
    draws: tuple[str, ...]
    normalising: int


class _RandomnessMonitor:
    """Record of the operators that draw random numbers or use batch statistics."""

    def __init__(self) -> None:
        self.drawing: dict[str, None] = {}
        self.normalising = 0

    def call(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call an operator, and record whether it draws random numbers or uses batch statistics."""
        self.normalising += _uses_batch_statistics(operator, args, kwargs)
        # Higher-order operators have no tags.
        if torch.Tag.nondeterministic_seeded not in getattr(operator, "tags", ()):
            return operator(*args, **kwargs)
        before = torch.get_rng_state()
        out = operator(*args, **kwargs)
        # Dropout has this tag in eval mode too, where it draws no random numbers.
        if kwargs.get("generator") is not None or not torch.equal(torch.get_rng_state(), before):
            self.drawing[str(operator.overloadpacket)] = None
        return out


def _uses_batch_statistics(operator: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Check whether an operator normalises by the statistics of several images."""
    if not is_overload(operator):
        return False
    name = operator.overloadpacket.__name__
    if "batch_norm" not in name or "backward" in name or not isinstance(args[0], Tensor):
        return False
    values = named_arguments(operator, args, kwargs)
    training = name == "batch_norm_with_update" or values.get("training") or values.get("train")
    # An instance norm is computed as a batch norm with the images as channels of a single image.
    return bool(training) and args[0].shape[0] > 1


def check_behaviour(network: nn.Module, images: Tensor) -> list[str]:
    """Check that the output of a network is a function of its weights and its input.

    Args:
        network: Network; it is unchanged.
        images: Two or more different images, (B, C, H, W).

    Returns:
        Notes for the user about the network, one sentence each.

    Raises:
        DsxError: If the network in eval mode is random, changes its state, returns NaN or infinite
            values, or ignores its input.
    """
    twin = set_mode(copy_network(network), False)
    _check_norms(twin)
    found = _check_repeatable(twin, images)
    _check_finite(twin, images, found.output)
    _check_input(network, images, found.output)
    return [*_draw_notes(found.draws), *_batch_notes(twin, images, found)]


def random_sources(network: nn.Module, images: Tensor) -> str | None:
    """Return the sources of random numbers of a network in eval mode.

    Args:
        network: Network; it is unchanged.
        images: Images, (B, C, H, W).

    Returns:
        A phrase such as "aten.rand_like draws"; None if the network draws no random
        numbers.
    """
    twin = set_mode(copy_network(network), False)
    monitor = _RandomnessMonitor()
    with watch_generators(twin) as changed_generators, intercept_operators(monitor.call):
        run(twin, images)
        draws = [*monitor.drawing, *changed_generators()]
    return _listed(draws) if draws else None


def check_state(network: nn.Module, trained: nn.Module, images: Tensor) -> None:
    """Check that the state dict of a network contains everything that training changes.

    Args:
        network: Network before training.
        trained: Copy of the network after a step in train mode; it is changed.
        images: Images, (B, C, H, W).

    Raises:
        DsxError: If the network with the state dict of the trained copy computes another output.
    """
    _add_noise(trained)
    other = copy_network(network)
    try:
        restore(other, state_of(trained))
    # User code, or torch applied to its result: any exception is about the user code.
    except DsxError:
        raise
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        raise DsxError(f"it cannot load its own state_dict(): {with_type(error)}") from error
    outputs = [run(set_mode(module, False), images) for module in (trained, other)]
    if not _close(*outputs):
        raise DsxError(
            "its state_dict() does not contain everything that training changes, so that a trained "
            "network cannot be stored (use persistent buffers instead of buffers with "
            "persistent=False or attributes that the forward changes)"
        )


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    largest = float(torch.nan_to_num(other).abs().max()) if other.numel() else 0.0
    return torch.allclose(one, other, rtol=0.0, atol=TOLERANCE * largest, equal_nan=True)


def _check_norms(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if isinstance(module, NormBase) and module.training and module.track_running_stats:
            raise DsxError(
                f"its batch norm {name} is in train mode after eval(), so that inference changes "
                "its statistics: train(mode) and eval() must set the mode of all modules"
            )


def _check_repeatable(network: nn.Module, images: Tensor) -> Behaviour:
    """Run a network repeatedly on the same images and return its behaviour."""
    before = {name: tensor.clone() for name, tensor in state_of(network).items()}
    with watch_generators(network) as changed_generators:
        monitor = _RandomnessMonitor()
        with intercept_operators(monitor.call):
            output = run(network, images)
        after = state_of(network)
        changed = [name for name, tensor in before.items() if not _equal(tensor, after.get(name))]
        draws = [*monitor.drawing, *changed_generators()]
        # Random numbers or a changed state may affect the output only in some of the runs.
        for _ in range(RERUNS if changed or draws else 1):
            if not _close(run(network, images), output):
                raise DsxError(_explain_difference(draws, changed))
    return Behaviour(output=output, draws=tuple(draws), normalising=monitor.normalising)


def _equal(tensor: Tensor, other: Tensor | None) -> bool:
    if other is None or tensor.shape != other.shape:
        return False
    return torch.equal(torch.nan_to_num(tensor), torch.nan_to_num(other))


def _explain_difference(draws: Sequence[str], changed: Sequence[str]) -> str:
    start = "the network returns different outputs for the same images in eval mode: "
    if draws:
        return f"{start}{_listed(draws)} random numbers; {_advice(draws)}"
    if changed:
        return f"{start}each run changes {changed[0]}; change it in train mode only"
    return (
        f"{start}no operator of torch and no generator of Python or numpy draws random numbers, so "
        "that its forward may depend on the time, or on an attribute that it changes; do so in "
        "train mode only"
    )


def _listed(draws: Sequence[str]) -> str:
    return f"{', '.join(draws)} {'draws' if len(draws) == 1 else 'draw'}"


def _advice(draws: Sequence[str]) -> str:
    if any("dropout" in name or "bernoulli" in name for name in draws):
        return "pass training=self.training to F.dropout, which is active in eval mode by default"
    return "draw them in train mode only (if self.training)"


def _check_finite(network: nn.Module, images: Tensor, output: Tensor) -> None:
    # A network for non-negative images may compute a logarithm or a root of the pixels.
    if torch.isfinite(output).all():
        return
    others = (images.abs(), images.sigmoid(), torch.zeros_like(images))
    if not any(torch.isfinite(run(network, other)).all() for other in others):
        what = "NaN" if output.isnan().any() else "infinite values"
        raise DsxError(f"its output contains {what} in eval mode for all images")


def _check_input(network: nn.Module, images: Tensor, output: Tensor) -> None:
    if not _is_constant(output):
        return
    # With weights initialised to zero, the output does not depend on the image before training.
    noisy = set_mode(copy_network(network), False)
    _add_noise(noisy)
    if _is_constant(run(noisy, images)):
        raise DsxError("its output does not depend on the image: it is the same for all images")


def _is_constant(output: Tensor) -> bool:
    """Check whether all outputs of a batch are exactly equal."""
    return output.dim() > 0 and len(output) > 1 and bool((output == output[:1]).all())


def _add_noise(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.is_floating_point():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise.to(parameter), alpha=NOISE)


def _draw_notes(draws: Sequence[str]) -> list[str]:
    """Return a note if random numbers are drawn without a visible effect on the output."""
    if not draws:
        return []
    return [
        f"in eval mode {_listed(draws)} random numbers; {RERUNS + 1} runs returned the same output "
        f"for the same images, but if others do not, accuracy is random: {_advice(draws)}"
    ]


def _batch_notes(network: nn.Module, images: Tensor, found: Behaviour) -> list[str]:
    """Return a note if the output for an image depends on the other images of its batch."""
    changed = torch.cat([images[:1], 3 * images[1:] + 1])
    output = found.output
    if output.dim() == 0 or _close(run(network, changed)[:1], output[:1]):
        return []
    norms = [
        name
        for name, module in network.named_modules()
        if isinstance(module, NormBase) and module.running_mean is None
    ]
    reason = "its code combines images of the batch"
    if norms:
        reason = (
            f"norms without running statistics, which use the statistics of the batch: "
            f"{len(norms)}, such as {norms[0]}"
        )
    elif found.normalising:
        reason = (
            "normalisations by the statistics of the batch, as F.batch_norm with training=True: "
            f"{found.normalising}"
        )
    return [
        f"in eval mode the output for an image depends on the other images of its batch ({reason})"
        ", so that accuracy depends on how images are batched"
    ]
