"""Conditions: whether a network runs as the `measure` and `train` of a space say."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv import move, set_mode
from dsx.data import Data
from dsx.errors import DsxError, SpaceError, raise_out_of_memory, with_type
from dsx.space.network.network import copied, run
from dsx.space.space import SearchSpace
from dsx.space.yaml.schema import Train

FEW = 2
"""Number of images with which a network is run if the space specifies none."""
MOST_NUMBERS = 1 << 22
"""Pixel values of a batch with which a network is tried out; that of the space may be too large to
be run before anything else is known to work."""
_HINTS = {
    "channels_last": "in that layout .view needs .contiguous() before it; .reshape and .flatten "
    "work in any",
    "dtype": "a constant in its forward may be float32: give it x.dtype",
    "precision": "tensors that meet in its forward may be of two dtypes: convert one of them",
}


def check_measured(network: nn.Module, space: SearchSpace) -> None:
    """Run a network in eval mode as it will be measured.

    Args:
        network: The network; it is unchanged.
        space: The space.

    Raises:
        SpaceError: If it does not run like this; names the key of `measure`.
    """
    measure, shape = space.file.measure, space.data.image_shape
    plain = {"dtype": "float32", "channels_last": False, "batch": FEW, "device": "cpu"}
    wanted = {key: getattr(measure, key) for key in plain}

    def attempt(conditions: Mapping[str, Any]) -> None:
        _run(network, shape, **conditions)

    try:
        attempt(wanted)
    except DsxError as error:
        key, reason = _culprit(attempt, plain, wanted) or ("", error)
        raise _complaint(space, ("measure", key), wanted.get(key), reason) from error


def _run(
    network: nn.Module,
    shape: tuple[int, ...],
    *,
    dtype: str,
    channels_last: bool,
    batch: int,
    device: str,
) -> None:
    number = max(1, min(batch, MOST_NUMBERS // torch.Size(shape).numel()))
    images = torch.randn(number, *shape, generator=torch.Generator().manual_seed(0))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    kind = getattr(torch, dtype)
    twin = move(move(copied(network), device, kind), layout=layout)
    output = run(set_mode(twin, False), _laid_out(images.to(device, kind), layout))
    if output.dim() == 0 or len(output) != number:
        found = " x ".join(map(str, output.shape)) or "one number"
        raise DsxError(f"the network returns {found} for a batch of {number} images")


def _laid_out(images: Tensor, layout: torch.memory_format) -> Tensor:
    # Copied: one channel lies in either layout, and torch would take it for the other.
    return torch.empty_like(images, memory_format=layout).copy_(images)


def _culprit(
    attempt: Callable[[Mapping[str, Any]], object],
    plain: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> tuple[str, DsxError] | None:
    """Find the condition with which alone a network fails, and how it fails."""
    for key, value in wanted.items():
        if value != plain[key]:
            try:
                attempt({**plain, key: value})
            except DsxError as error:
                return key, error
    return None


def _complaint(
    space: SearchSpace, path: tuple[str, str], value: object, reason: DsxError
) -> SpaceError:
    part, key = path
    if not key:
        return space.source.error((part,), str(reason))
    word = str(value).lower() if isinstance(value, bool) else value
    hint = f" ({_HINTS[key]})" if key in _HINTS else ""
    return space.source.error((part, key), f"{word}: {reason}{hint}")


def check_trained(network: nn.Module, space: SearchSpace) -> nn.Module:
    """Run a copy of a network forward and backward in train mode, as it will be trained.

    Args:
        network: The network; it is unchanged.
        space: The space.

    Returns:
        The copy, after the pass.

    Raises:
        DsxError: If it does not run in train mode, or gives no gradients that can be used.
        SpaceError: If a key of `train` is the reason.
    """
    train = space.file.train
    plain = {"precision": "float32", "channels_last": False, "images": FEW}
    wanted = {
        # `auto` can be float32 on this machine.
        "precision": "bfloat16" if train.precision == "bfloat16" else "float32",
        "channels_last": train.channels_last,
        "images": min(FEW, _smallest_part(train)),
    }

    def attempt(conditions: Mapping[str, Any]) -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(conditions["images"], *space.data.image_shape, generator=generator)
        layout = torch.channels_last if conditions["channels_last"] else torch.contiguous_format
        reduced = conditions["precision"] == "bfloat16"
        return _step(network, _laid_out(images, layout), space.data, reduced)

    try:
        return attempt(wanted)
    except DsxError as error:
        found = _culprit(attempt, plain, wanted)
        if found is None or _fails(attempt, plain):
            raise
        key, reason = found
        if key == "images":
            key = "accumulate" if train.accumulate > 1 else "batch_size"
        raise _complaint(space, ("train", key), getattr(train, key), reason) from error


def _fails(attempt: Callable[[Mapping[str, Any]], object], plain: Mapping[str, Any]) -> bool:
    """Check whether a network fails under any conditions."""
    try:
        attempt(plain)
    except DsxError:
        return True
    return False


def _smallest_part(train: Train) -> int:
    """Images of the last part in which a batch goes through the network."""
    parts = torch.empty(train.batch_size).chunk(train.accumulate)
    return len(parts[-1])


def _step(network: nn.Module, images: Tensor, data: Data, reduced: bool) -> nn.Module:
    twin = set_mode(copied(network), True)
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            output = twin(images)
    # The user's own code, in train mode: any exception is about that.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        raise DsxError(f"the network does not run in train mode: {with_type(error)}") from error
    if not isinstance(output, Tensor):
        raise DsxError(f"the network returns a {type(output).__name__} in train mode, not a tensor")
    if tuple(output.shape) != (len(images), data.classes):
        shape = " x ".join(map(str, output.shape))
        raise DsxError(
            f"the network returns {shape} for {len(images)} images in train mode, the data has "
            f"{data.counted_classes}"
        )
    if not output.requires_grad:
        raise DsxError("the network's output does not depend on any weight that can be trained")
    labels = torch.zeros(len(images), dtype=torch.long)
    try:
        F.cross_entropy(output.float(), labels).backward()  # type: ignore[no-untyped-call]
    # The user's own backward, or torch on what the forward has changed in place.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        problem = f"no gradients can be computed for the network: {with_type(error)}"
        raise DsxError(problem) from error
    for name, parameter in twin.named_parameters():
        if parameter.grad is not None and parameter.grad.layout != torch.strided:
            raise DsxError(f"the gradient of {name} is sparse: build its module with sparse=False")
    return twin
