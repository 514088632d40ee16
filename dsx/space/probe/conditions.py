"""Checks that a network runs under the settings of `measure` and `train`."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv import move, set_mode
from dsx.data import Data
from dsx.errors import DsxError, SpaceError, raise_out_of_memory, with_type
from dsx.space.network.network import copy_network, run
from dsx.space.space import SearchSpace
from dsx.space.yaml.schema import Train

FEW = 2
"""Number of images in a test run if the space does not specify it."""
MAX_VALUES = 1 << 22
"""Largest number of values in the input of a test run; the batch of a space may be much larger."""
_HINTS = {
    "channels_last": "use .reshape or .flatten, or call .contiguous() before .view",
    "dtype": "its forward may create float32 tensors: create them with dtype=x.dtype",
    "precision": "its forward may combine tensors of two dtypes: convert one of them",
}


def check_measured(network: nn.Module, space: SearchSpace) -> None:
    """Check that a network runs in eval mode under the measurement settings of a space.

    Args:
        network: Network; it is unchanged.
        space: Search space.

    Raises:
        SpaceError: If the network does not run under these settings; names the key of `measure`.
    """
    measure, shape = space.file.measure, space.data.image_shape
    default = {"dtype": "float32", "channels_last": False, "batch": FEW, "device": "cpu"}
    requested = {key: getattr(measure, key) for key in default}

    def attempt(conditions: Mapping[str, Any]) -> None:
        _run(network, shape, **conditions)

    try:
        attempt(requested)
    except DsxError as error:
        key, reason = _failing_condition(attempt, default, requested) or ("", error)
        raise _condition_error(space, ("measure", key), requested.get(key), reason) from error


def _run(
    network: nn.Module,
    shape: tuple[int, ...],
    *,
    dtype: str,
    channels_last: bool,
    batch: int,
    device: str,
) -> None:
    number = max(1, min(batch, MAX_VALUES // torch.Size(shape).numel()))
    images = torch.randn(number, *shape, generator=torch.Generator().manual_seed(0))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    kind = getattr(torch, dtype)
    twin = move(move(copy_network(network), device, kind), layout=layout)
    output = run(set_mode(twin, False), _to_layout(images.to(device, kind), layout))
    if output.dim() == 0 or len(output) != number:
        found = " x ".join(map(str, output.shape)) or "one number"
        raise DsxError(f"the network returns {found} for a batch of {number} images")


def _to_layout(images: Tensor, layout: torch.memory_format) -> Tensor:
    # A copy, since a tensor of one channel is already contiguous in both memory formats.
    return torch.empty_like(images, memory_format=layout).copy_(images)


def _failing_condition(
    attempt: Callable[[Mapping[str, Any]], object],
    default: Mapping[str, Any],
    requested: Mapping[str, Any],
) -> tuple[str, DsxError] | None:
    """Find a single condition under which a network fails, and the error."""
    for key, value in requested.items():
        if value != default[key]:
            try:
                attempt({**default, key: value})
            except DsxError as error:
                return key, error
    return None


def _condition_error(
    space: SearchSpace, path: tuple[str, str], value: object, reason: DsxError
) -> SpaceError:
    part, key = path
    if not key:
        return space.source.error((part,), str(reason))
    given = str(value).lower() if isinstance(value, bool) else value
    hint = f" ({_HINTS[key]})" if key in _HINTS else ""
    return space.source.error((part, key), f"{given}: {reason}{hint}")


def check_trained(network: nn.Module, space: SearchSpace) -> nn.Module:
    """Check a forward and backward pass in train mode under the training settings of a space.

    Args:
        network: Network; it is unchanged.
        space: Search space.

    Returns:
        A copy of the network after the pass.

    Raises:
        DsxError: If the network does not run in train mode, or returns no usable gradients.
        SpaceError: If a setting of `train` is the reason; names its key.
    """
    train = space.file.train
    default = {"precision": "float32", "channels_last": False, "images": FEW}
    requested = {
        # `auto` may mean float32 on this machine.
        "precision": "bfloat16" if train.precision == "bfloat16" else "float32",
        "channels_last": train.channels_last,
        "images": min(FEW, _smallest_part(train)),
    }

    def attempt(conditions: Mapping[str, Any]) -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(conditions["images"], *space.data.image_shape, generator=generator)
        layout = torch.channels_last if conditions["channels_last"] else torch.contiguous_format
        reduced = conditions["precision"] == "bfloat16"
        return _step(network, _to_layout(images, layout), space.data, reduced)

    try:
        return attempt(requested)
    except DsxError as error:
        found = _failing_condition(attempt, default, requested)
        if found is None or _fails(attempt, default):
            raise
        key, reason = found
        if key == "images":
            key = "accumulate" if train.accumulate > 1 else "batch_size"
        raise _condition_error(space, ("train", key), getattr(train, key), reason) from error


def _fails(attempt: Callable[[Mapping[str, Any]], object], default: Mapping[str, Any]) -> bool:
    """Check whether a network fails even under the default conditions."""
    try:
        attempt(default)
    except DsxError:
        return True
    return False


def _smallest_part(train: Train) -> int:
    """Return the number of images in the smallest part of an accumulated batch."""
    parts = torch.empty(train.batch_size).chunk(train.accumulate)
    return len(parts[-1])


def _step(network: nn.Module, images: Tensor, data: Data, reduced: bool) -> nn.Module:
    twin = set_mode(copy_network(network), True)
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            output = twin(images)
    # User code in train mode: any exception is about that.
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
        raise DsxError("the output of the network does not depend on any trainable weight")
    labels = torch.zeros(len(images), dtype=torch.long)
    try:
        F.cross_entropy(output.float(), labels).backward()  # type: ignore[no-untyped-call]
    # A backward of the user, or torch on tensors that the forward has changed in place.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        problem = f"the gradients of the network cannot be computed: {with_type(error)}"
        raise DsxError(problem) from error
    for name, parameter in twin.named_parameters():
        if parameter.grad is not None and parameter.grad.layout != torch.strided:
            raise DsxError(f"the gradient of {name} is sparse: build its module with sparse=False")
    return twin
