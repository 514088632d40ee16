"""Construction of the network that a space file specifies."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dsx.errors import DsxError, raise_out_of_memory
from dsx.nets import network_builder
from dsx.plain import plain
from dsx.space.network.network import (
    convert_numbers,
    copy_network,
    has_lazy_weights,
    initialise_lazy_weights,
    run,
)
from dsx.space.network.unwrap import unwrap, unwrap_parts, wrapper_note
from dsx.space.weights.state import state_of
from dsx.space.yaml.source import one_line


def build_model(
    name: str,
    arguments: Mapping[str, Any],
    image_shape: tuple[int, ...],
    seed: int = 0,
) -> tuple[nn.Module, tuple[str, ...]]:
    """Build a network, and collect notes about it.

    Args:
        name: Name of a file in `dsx/nets`, or an import path `package.module:callable`.
        arguments: Arguments with which the network is built, as plain JSON values.
        image_shape: Channels, rows and columns of an image, for networks with lazy modules.
        seed: Seed of the weight initialisation.

    Returns:
        The network, and notes for the user about it.

    Raises:
        DsxError: If there is no such network, it cannot be built, or the result is not a network
            that dsx can train.
    """
    builder = network_builder(name)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            # The arguments are copied, since the callable may change them.
            built = builder(**copy.deepcopy(plain(arguments)))
        except DsxError:
            raise
        # User code with the arguments of the user: any exception is about these.
        except (Exception, SystemExit) as error:
            raise_out_of_memory(error)
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise DsxError(f"{name} cannot be built with these arguments: {reason}") from error
        network, wrappers = _checked(name, built)
        if has_lazy_weights(network):
            initialise_lazy_weights(network, torch.zeros(1, *image_shape))
        else:
            network = copy_network(network)
        parts = unwrap_parts(network)
    state_of(network)
    return convert_numbers(network), tuple(wrapper_note(wrappers, parts))


def _checked(name: str, built: object) -> tuple[nn.Module, list[str]]:
    if not isinstance(built, nn.Module):
        # For example a program of torch.export.
        raise DsxError(f"{name} returns a {type(built).__name__}, not a nn.Module")
    network, wrappers = unwrap(built)
    check_network(network)
    return network, wrappers


def check_network(network: nn.Module) -> None:
    """Check that dsx can train and store a network.

    Args:
        network: Network as built by its code.

    Raises:
        DsxError: If its weights cannot be trained or stored.
    """
    for name, module in network.named_modules():
        # A copied ScriptModule cannot be trained, since it computes with the original weights.
        if isinstance(module, torch.jit.ScriptModule):
            subject = f"its module {name} is" if name else "is"
            problem = "compiled by torch.jit: use the nn.Module from which it was compiled"
            raise DsxError(f"{subject} {problem}")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise DsxError("has no trainable weights (requires_grad is False for all parameters)")
    for name, parameter in network.named_parameters():
        if parameter.layout != torch.strided or parameter.is_meta:
            kind = "on the meta device" if parameter.is_meta else "sparse"
            raise DsxError(f"its weight {name} is {kind}, but dsx only supports dense weights")
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise DsxError(
                f"its weight {name} is {kind}, but dsx trains in float32: build it with .float() "
                "(measure: {dtype: bfloat16} measures it in bfloat16)"
            )


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check that arguments can be stored as JSON.

    Args:
        arguments: Arguments as read from a YAML file.

    Raises:
        DsxError: If a value cannot be represented in JSON.
    """
    try:
        json.dumps(plain(arguments), allow_nan=False)
    except (TypeError, ValueError) as error:
        allowed = "strings, finite numbers, true, false, null, and lists of them"
        raise DsxError(f"{error} (allowed: {allowed})") from error


def check_single_image(network: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Check that a network runs on a batch of a single image.

    Args:
        network: Network in eval mode.
        image_shape: Channels, rows and columns of an image.

    Raises:
        DsxError: If the network does not run on a single image, or its output has no batch
            dimension of size 1.
    """
    output = run(network, torch.zeros(1, *image_shape))
    if output.dim() == 0 or len(output) != 1:
        shape = " x ".join(map(str, output.shape)) or "one number"
        raise DsxError(f"returns {shape} for a batch of 1 image, without the batch dimension")


def unwrap_logits(network: nn.Module) -> None:
    """Register a hook that replaces an output object with its `logits`, in place.

    Args:
        network: Network that returns an object with `logits`; the names of its modules do not
            change.
    """
    network.register_forward_hook(_logits)


def _logits(network: nn.Module, given: object, output: Any) -> Tensor:
    logits: Tensor = output.logits
    return logits
