"""Random values for constant parameters and statistics, so that errors change the output.

An untrained batch norm subtracts 0 and divides by 1, so that even code that ignores its statistics
folds it correctly. A classifier whose weights are zero returns zero, regardless of earlier errors.
"""

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from dsx.errors import WorkFailed
from dsx.torch_private import intercept_operators, operator_name

LEAST_VARIANCE, MOST_VARIANCE = 0.5, 2.0


def randomise(network: nn.Module, images: Tensor) -> None:
    """Set mean, variance, weight and bias of each batch norm to random values, in place.

    Constant weights of other layers are set to random values as well. Means are sampled around the
    mean of the input of the batch norm on the given images, and weights around the value that
    scales its standard deviation to 1. Otherwise activations would vanish or overflow in deep
    networks, and a comparison of outputs would be meaningless.

    Args:
        network: A network in eval mode.
        images: Batch of images, (N, C, H, W).

    Raises:
        WorkFailed: If the output of a batch norm, or of the network, is constant or not finite
            on the images.
    """
    generator = torch.Generator().manual_seed(0)
    done: set[nn.Module] = set()

    def set_values(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if norm not in done:
            done.add(norm)
            _randomise(norm, inputs[0], generator)

    hooks = [norm.register_forward_pre_hook(set_values) for _, norm in _norms(network)]
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() > 1 and weight.min() == weight.max():
                weight.normal_(0.0, weight[0].numel() ** -0.5, generator=generator)
        network(images)
        for hook in hooks:
            hook.remove()
        for _, norm in _norms(network):
            if norm not in done:
                channels = norm.get_buffer("running_mean").numel()
                _randomise(norm, torch.randn(8, channels, generator=generator), generator)
    _check_activations(network, images)


def _norms(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Iterate over the modules with running statistics, of any class, with their names."""
    for name, module in network.named_modules():
        if isinstance(getattr(module, "running_var", None), Tensor):
            yield name, module


def _randomise(norm: nn.Module, input: Tensor, generator: torch.Generator) -> None:
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    channels = len(mean)
    others = [axis for axis in range(input.dim()) if axis != 1]
    own_mean, deviation = input.mean(others), input.std()
    mean.copy_(own_mean + 0.5 * deviation * torch.randn(channels, generator=generator))
    spread = torch.rand(channels, generator=generator)
    variance.copy_(LEAST_VARIANCE + (MOST_VARIANCE - LEAST_VARIANCE) * spread)
    if isinstance(weight := getattr(norm, "weight", None), Tensor):
        factor = 0.5 + torch.rand(channels, generator=generator)
        sign = torch.randint(0, 2, (channels,), generator=generator) * 2 - 1
        weight.copy_(sign * factor / deviation)
    if isinstance(bias := getattr(norm, "bias", None), Tensor):
        bias.copy_(0.5 * torch.randn(channels, generator=generator))


def _check_activations(network: nn.Module, images: Tensor) -> None:
    """Check that the outputs of all batch norms and of the network are finite and not constant."""
    constant: list[str] = []

    def check(name: str, module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and not _varies(output):
            constant.append(name)

    hooks = [
        norm.register_forward_hook(functools.partial(check, name)) for name, norm in _norms(network)
    ]
    with torch.no_grad():
        check("the network", network, images, network(images))
    for hook in hooks:
        hook.remove()
    if constant:
        raise WorkFailed(
            f"the output of {constant[0]} is constant or not finite, so that a comparison of "
            "outputs would be meaningless"
        )


def _varies(values: Tensor) -> bool:
    return bool(values.isfinite().all()) and bool(values.min() < values.max())


class _NormCounter:
    """A counter of the batch norms that run, by operator."""

    def __init__(self) -> None:
        self.count = 0

    def call(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call an operator, and count it if it is a batch norm."""
        # Weight standardisation calls the same operator, on weights and without statistics.
        if "batch_norm" in operator_name(operator) and isinstance(args[3], Tensor):
            self.count += 1
        return operator(*args, **kwargs)


def count_norms(network: nn.Module, images: Tensor) -> int:
    """Count the batch norms that a network computes, by modules or by functions.

    Args:
        network: A network in eval mode.
        images: Batch of images, (N, C, H, W).

    Returns:
        Number of batch norms of one forward pass.
    """
    counter = _NormCounter()
    with torch.no_grad(), intercept_operators(counter.call):
        network(images)
    return counter.count
