"""Model: the network that a space file names, built and completed."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dsx.errors import DsxError, raise_out_of_memory
from dsx.nets import network_builder
from dsx.plain import plain
from dsx.space.network.network import copied, lazy, materialise, run, with_plain_numbers
from dsx.space.network.unwrap import unwrap, unwrap_parts, wrapper_note
from dsx.space.weights.state import state_of
from dsx.space.yaml.source import one_line


def build_model(
    name: str,
    arguments: Mapping[str, Any],
    image_shape: tuple[int, ...],
    seed: int = 0,
) -> nn.Module:
    """Build a network.

    Args:
        name: A file in `dsx/nets`, or `package.module:callable`.
        arguments: What it is built with; plain JSON values.
        image_shape: Channels, rows, columns of an image, for networks that are built lazily.
        seed: Seed of the fresh weights.

    Returns:
        The network, all of its weights there.

    Raises:
        DsxError: If there is no such network, it cannot be built, or what is built is no network
            that dsx can train.
    """
    return build_with_notes(name, arguments, image_shape, seed)[0]


def build_with_notes(
    name: str,
    arguments: Mapping[str, Any],
    image_shape: tuple[int, ...],
    seed: int = 0,
) -> tuple[nn.Module, tuple[str, ...]]:
    """Build a network as `build_model` does.

    Args:
        name: A file in `dsx/nets`, or `package.module:callable`.
        arguments: What it is built with; plain JSON values.
        image_shape: Channels, rows, columns of an image, for networks that are built lazily.
        seed: Of the fresh weights.

    Returns:
        The network, and what the user should know about it.

    Raises:
        DsxError: As `build_model` does.
    """
    builder = network_builder(name)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            # Copies: what is built may change its arguments, or be the same module every time.
            built = builder(**copy.deepcopy(plain(arguments)))
        except DsxError:
            raise
        # The user's own code, with the user's arguments: whatever it raises is about these.
        except (Exception, SystemExit) as error:
            raise_out_of_memory(error)
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise DsxError(f"{name} cannot be built with these arguments: {reason}") from error
        network, wrappers = _checked(name, built)
        if lazy(network):
            materialise(network, torch.zeros(1, *image_shape))
        else:
            network = copied(network)
        parts = unwrap_parts(network)
    state_of(network)
    return with_plain_numbers(network), tuple(wrapper_note(wrappers, parts))


def _checked(name: str, built: object) -> tuple[nn.Module, list[str]]:
    if not isinstance(built, nn.Module):
        # A program of torch.export, for example.
        raise DsxError(f"{name} returns a {type(built).__name__}, not a nn.Module")
    network, wrappers = unwrap(built)
    check_network(network)
    return network, wrappers


def check_network(network: nn.Module) -> None:
    """Refuse what dsx cannot train.

    Args:
        network: As its code built it.

    Raises:
        DsxError: If its weights cannot be trained, or not be stored.
    """
    for name, module in network.named_modules():
        # A copy of one cannot be trained: its weights are computed from those of the original.
        if isinstance(module, torch.jit.ScriptModule):
            subject = f"its module {name} is" if name else "is"
            problem = "compiled by torch.jit: give the nn.Module that it was made from"
            raise DsxError(f"{subject} {problem}")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise DsxError("has no weight that can be trained (requires_grad is False everywhere)")
    for name, parameter in network.named_parameters():
        if parameter.layout != torch.strided or parameter.is_meta:
            kind = "on the meta device" if parameter.is_meta else "sparse"
            raise DsxError(f"its weight {name} is {kind}, and dsx stores dense weights")
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise DsxError(
                f"its weight {name} is {kind}, and dsx trains in float32: build it with .float() "
                "(measure: {dtype: bfloat16} times it in bfloat16)"
            )


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that cannot be written down.

    Args:
        arguments: As a YAML file gives them.

    Raises:
        DsxError: If one of them is none of JSON's values.
    """
    try:
        json.dumps(plain(arguments), allow_nan=False)
    except (TypeError, ValueError) as error:
        allowed = "only words, finite numbers, true, false, null and lists of them"
        raise DsxError(f"{allowed}: {error}") from error


def check_alone(network: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Run a network on a single image, as it will be timed.

    Args:
        network: In eval mode.
        image_shape: Channels, rows, columns.

    Raises:
        DsxError: If it does not run on a single image, or its output has another batch.
    """
    output = run(network, torch.zeros(1, *image_shape))
    if output.dim() == 0 or len(output) != 1:
        shape = " x ".join(map(str, output.shape)) or "one number"
        raise DsxError(f"returns {shape} for a batch of 1 image: the batch is lost")


def unwrap_logits(network: nn.Module) -> None:
    """Let a network that returns an object with `logits` return these alone, in place.

    Args:
        network: The network; the names of its modules stay as they are.
    """
    network.register_forward_hook(_logits)


def _logits(network: nn.Module, given: object, output: Any) -> Tensor:
    logits: Tensor = output.logits
    return logits
