"""Behaviour: what dsx takes for granted of a network in eval mode, checked on a few images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dsx.conv import set_mode
from dsx.errors import DsxError, raise_out_of_memory, with_type
from dsx.space.network.network import copied, run
from dsx.space.probe.generators import generators_of
from dsx.space.weights.state import restore, state_of
from dsx.torch_private import NormBase, intercept_operators, is_overload, named_arguments

TOLERANCE = 1e-4
"""Difference of two outputs that are taken for equal, as a part of the largest number: sums in
another order differ by less."""
RERUNS = 16
"""Runs of a network that changes its state, or draws random numbers, in eval mode."""
NOISE = 0.1
"""Deviation of what is added to weights, so that a head of zeros depends on the image."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """Behaviour of a network that was run again on the same images.

    Args:
        output: Output of the network.
        draws: Operators of torch and generators of other libraries that have drawn random numbers.
        normalising: Batch norms of one run that used the statistics of the batch.
    """

    output: Tensor
    draws: tuple[str, ...]
    normalising: int


class _Watch:
    """Notes the operators that draw random numbers, and those that use statistics of the batch."""

    def __init__(self) -> None:
        self.drawing: dict[str, None] = {}
        self.normalising = 0

    def call(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call an operator, and note if it draws random numbers or uses batch statistics."""
        self.normalising += _uses_batch_statistics(operator, args, kwargs)
        # Operators of higher order have no tags.
        if torch.Tag.nondeterministic_seeded not in getattr(operator, "tags", ()):
            return operator(*args, **kwargs)
        before = torch.get_rng_state()
        out = operator(*args, **kwargs)
        # Dropout in eval mode has the tag as well.
        if kwargs.get("generator") is not None or not torch.equal(torch.get_rng_state(), before):
            self.drawing[str(operator.overloadpacket)] = None
        return out


def _uses_batch_statistics(operator: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Check whether an operator normalises by statistics of several images."""
    if not is_overload(operator):
        return False
    name = operator.overloadpacket.__name__
    if "batch_norm" not in name or "backward" in name or not isinstance(args[0], Tensor):
        return False
    values = named_arguments(operator, args, kwargs)
    training = name == "batch_norm_with_update" or values.get("training") or values.get("train")
    # An instance norm goes through the images of a batch as channels of one.
    return bool(training) and args[0].shape[0] > 1


def check_behaviour(network: nn.Module, images: Tensor) -> list[str]:
    """Check that the output of a network is a function of its weights and its input.

    Args:
        network: The network; it is unchanged.
        images: At least two different images, (B, C, H, W).

    Returns:
        What the user should know about it, as sentences.

    Raises:
        DsxError: If the network in eval mode is random or changes, gives no finite numbers, or
            ignores its input, or if its state dict does not hold what training changes.
    """
    twin = set_mode(copied(network), False)
    _check_norms(twin)
    found = _check_repeatable(twin, images)
    _check_finite(twin, images, found.output)
    _check_input(network, images, found.output)
    return [*_draw_notes(found.draws), *_batch_notes(twin, images, found)]


def why_random(network: nn.Module, images: Tensor) -> str | None:
    """Name what draws random numbers when a network is run in eval mode.

    Args:
        network: The network; it is unchanged.
        images: (B, C, H, W).

    Returns:
        Such as "aten.rand_like draws"; None if nothing draws.
    """
    twin = set_mode(copied(network), False)
    watch = _Watch()
    with generators_of(twin) as drawn, intercept_operators(watch.call):
        run(twin, images)
        draws = [*watch.drawing, *drawn()]
    return _listed(draws) if draws else None


def check_state(network: nn.Module, trained: nn.Module, images: Tensor) -> None:
    """Check that a state dict carries over all that a training changes.

    Args:
        network: The network as it was before.
        trained: A copy that has made a step in train mode; it is changed.
        images: (B, C, H, W).

    Raises:
        DsxError: If the network computes something else with the state of the other one.
    """
    _add_noise(trained)
    other = copied(network)
    try:
        restore(other, state_of(trained))
    # The user's own code, or torch on what that returns.
    except DsxError:
        raise
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        raise DsxError(f"it cannot load its own state_dict(): {with_type(error)}") from error
    outputs = [run(set_mode(each, False), images) for each in (trained, other)]
    if not _same(*outputs):
        raise DsxError(
            "its state_dict() does not hold all that training changes, so that a trained network "
            "could not be stored (a buffer with persistent=False, or an attribute that the forward "
            "changes? use a buffer that is persistent)"
        )


def _same(one: Tensor, other: Tensor) -> bool:
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
                f"its batch norm {name} is in train mode after eval(), so that each image that is "
                "classified changes its statistics: let train(mode) and eval() pass the mode on"
            )


def _check_repeatable(network: nn.Module, images: Tensor) -> Behaviour:
    """Run a network again on the same images and return how it has behaved."""
    before = {name: tensor.clone() for name, tensor in state_of(network).items()}
    with generators_of(network) as drawn:
        watch = _Watch()
        with intercept_operators(watch.call):
            output = run(network, images)
        after = state_of(network)
        changed = [name for name, tensor in before.items() if not _equal(tensor, after.get(name))]
        draws = [*watch.drawing, *drawn()]
        # What is drawn or counted may matter seldom, or late.
        for _ in range(RERUNS if changed or draws else 1):
            if not _same(run(network, images), output):
                raise DsxError(_why_not_repeatable(draws, changed))
    return Behaviour(output=output, draws=tuple(draws), normalising=watch.normalising)


def _equal(tensor: Tensor, other: Tensor | None) -> bool:
    if other is None or tensor.shape != other.shape:
        return False
    return torch.equal(torch.nan_to_num(tensor), torch.nan_to_num(other))


def _why_not_repeatable(draws: Sequence[str], changed: Sequence[str]) -> str:
    start = (
        "the network gives other outputs for the same images when it is run again in eval mode: "
    )
    if draws:
        return f"{start}{_listed(draws)} random numbers; {_advice(draws)}"
    if changed:
        return f"{start}each run changes {changed[0]}; let it change in train mode only"
    return (
        f"{start}neither torch nor a generator of Python or numpy that it holds draws random "
        "numbers, so its forward may read the time, or an attribute that it changes; let it do so "
        "in train mode only"
    )


def _listed(draws: Sequence[str]) -> str:
    return f"{', '.join(draws)} {'draws' if len(draws) == 1 else 'draw'}"


def _advice(draws: Sequence[str]) -> str:
    if any("dropout" in name or "bernoulli" in name for name in draws):
        return "F.dropout drops in eval mode too, unless it is given training=self.training"
    return "let it draw in train mode only (if self.training)"


def _check_finite(network: nn.Module, images: Tensor, output: Tensor) -> None:
    # Images may be known to be positive: a logarithm of a negative number is no mistake then.
    if torch.isfinite(output).all():
        return
    others = (images.abs(), images.sigmoid(), torch.zeros_like(images))
    if not any(torch.isfinite(run(network, other)).all() for other in others):
        what = "NaN" if output.isnan().any() else "infinite numbers"
        raise DsxError(f"its output contains {what} in eval mode, whatever the image")


def _check_input(network: nn.Module, images: Tensor, output: Tensor) -> None:
    if not _alike(output):
        return
    # Weights that begin with zeros hide the image, until they are trained.
    noisy = set_mode(copied(network), False)
    _add_noise(noisy)
    if _alike(run(noisy, images)):
        raise DsxError("its output does not depend on the image: it is the same for any two images")


def _alike(output: Tensor) -> bool:
    """Check whether all outputs of a batch are equal, to the last digit."""
    return output.dim() > 0 and len(output) > 1 and bool((output == output[:1]).all())


def _add_noise(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.is_floating_point():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise.to(parameter), alpha=NOISE)


def _draw_notes(draws: Sequence[str]) -> list[str]:
    """State if random numbers are drawn, though it has not been seen to matter."""
    if not draws:
        return []
    return [
        f"in eval mode {_listed(draws)} random numbers, though {RERUNS + 1} runs gave the same "
        f"output for the same images; where it matters, accuracy is random: {_advice(draws)}"
    ]


def _batch_notes(network: nn.Module, images: Tensor, found: Behaviour) -> list[str]:
    """State if the output for an image depends on the others, as with batch statistics."""
    companions = torch.cat([images[:1], 3 * images[1:] + 1])
    output = found.output
    if output.dim() == 0 or _same(run(network, companions)[:1], output[:1]):
        return []
    norms = [
        name
        for name, module in network.named_modules()
        if isinstance(module, NormBase) and module.running_mean is None
    ]
    why = "its code mixes images"
    if norms:
        why = (
            f"{len(norms)} norms without running statistics, such as {norms[0]}, compute the "
            "statistics of the batch"
        )
    elif found.normalising:
        times = "once" if found.normalising == 1 else f"{found.normalising} times"
        why = (
            f"it normalises by the statistics of the batch {times}, as F.batch_norm does with "
            "training=True"
        )
    return [
        f"in eval mode the output for an image depends on the other images of its batch ({why}), "
        "so that accuracy depends on how images are batched"
    ]
