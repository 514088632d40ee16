"""Copies and runs of any network of the user."""

import itertools
from contextlib import AbstractContextManager, nullcontext
from numbers import Number

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dsx.conv import duplicate, set_mode
from dsx.conv.sparsity import tidy
from dsx.errors import DsxError, raise_out_of_memory, with_type
from dsx.plain import plain
from dsx.space.yaml.source import one_line
from dsx.torch_private import is_compiler_loaded


def copied(model: nn.Module) -> nn.Module:
    """Copy a network.

    Args:
        model: Any network.

    Returns:
        The copy; the modules of torch in it hold Python's own numbers.

    Raises:
        DsxError: If it holds what cannot be copied, or weights that have no shape yet.
    """
    if lazy(model):
        raise DsxError("the network is built lazily: run it once on an input first")
    try:
        return with_plain_numbers(duplicate(model))
    # Any object in the user's network may raise any error when it is copied.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        reason = one_line(error) if isinstance(error, Exception) else with_type(error)
        raise DsxError(f"the network cannot be copied: {reason}") from error


def with_plain_numbers(network: nn.Module) -> nn.Module:
    """Convert the widths, kernel sizes and other numbers that modules of torch hold into Python's.

    Args:
        network: Any network; changed in place. Attributes of its own classes are unchanged.

    Returns:
        The network.
    """
    for module in network.modules():
        if not type(module).__module__.startswith("torch.nn."):
            continue
        if type(module) is nn.Conv2d:
            tidy(module)
        for name, value in vars(module).items():
            if not name.startswith("_") and _holds_numbers(value):
                vars(module)[name] = plain(value)
    return network


def _holds_numbers(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(isinstance(item, Number) for item in value)
    return isinstance(value, Number)


def run(network: nn.Module, sample: Tensor) -> Tensor:
    """Run a network once.

    Args:
        network: In eval mode.
        sample: An input batch.

    Returns:
        Its output, or the logits of an output that is an object with logits.

    Raises:
        DsxError: If it does not run on the sample, or returns something else.
    """
    try:
        with torch.no_grad(), _uncompiled():
            output = network(sample)
    # The user's own code, on an input of the data's shape: whatever it raises is about these.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        shape = " x ".join(str(side) for side in sample.shape)
        reason = f"{type(error).__name__}: {one_line(error)}".rstrip(": ")
        raise DsxError(f"the network does not run on an input of {shape}: {reason}") from error
    if wrapped(output):
        output = output.logits
    if not isinstance(output, Tensor):
        raise DsxError(f"the network returns a {type(output).__name__}, not one tensor")
    return output


def _uncompiled() -> AbstractContextManager[None]:
    """Run operators of higher order without compiling them, where a network may have some.

    Nothing else can watch what a network compiles on the way. Loading the compiler takes seconds.
    """
    stance: AbstractContextManager[None] = nullcontext()
    return torch.compiler.set_stance("force_eager") if is_compiler_loaded() else stance


def wrapped(output: object) -> bool:
    """Check whether an output is an object with logits."""
    return not isinstance(output, Tensor) and isinstance(getattr(output, "logits", None), Tensor)


def lazy(network: nn.Module) -> bool:
    """Check whether some weights have no shape before the network has seen an input."""
    held = itertools.chain(network.parameters(), network.buffers())
    return any(is_lazy(tensor) for tensor in held)


def materialise(network: nn.Module, sample: Tensor) -> None:
    """Let a network that is built lazily see an input, in place.

    Args:
        network: Any network; one that is complete is not run.
        sample: An input batch.

    Raises:
        DsxError: If it does not run on the sample.
    """
    if lazy(network):
        training = network.training
        run(set_mode(network, False), sample)
        set_mode(network, training)
