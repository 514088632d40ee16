"""Copies and forward passes of arbitrary user networks."""

import itertools
from contextlib import AbstractContextManager, nullcontext
from numbers import Number

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dsx.conv import duplicate, set_mode
from dsx.conv.sparsity import normalise_attributes
from dsx.errors import DsxError, raise_out_of_memory, with_type
from dsx.plain import plain
from dsx.space.yaml.source import one_line
from dsx.torch_private import is_compiler_loaded


def copy_network(model: nn.Module) -> nn.Module:
    """Copy a network.

    Args:
        model: Any network.

    Returns:
        The copy, in which the modules of torch hold built-in numbers of Python.

    Raises:
        DsxError: If the network cannot be copied, or has lazily initialised weights.
    """
    if has_lazy_weights(model):
        raise DsxError("the network has uninitialised lazy weights: run it on an input first")
    try:
        return convert_numbers(duplicate(model))
    # User code: any object in the network may raise any exception when it is copied.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        reason = one_line(error) if isinstance(error, Exception) else with_type(error)
        raise DsxError(f"the network cannot be copied: {reason}") from error


def convert_numbers(network: nn.Module) -> nn.Module:
    """Convert numbers that modules of torch hold, such as kernel sizes, to built-in numbers.

    Args:
        network: Any network, changed in place; attributes of user-defined classes are unchanged.

    Returns:
        The network.
    """
    for module in network.modules():
        if not type(module).__module__.startswith("torch.nn."):
            continue
        if type(module) is nn.Conv2d:
            normalise_attributes(module)
        for name, value in vars(module).items():
            if not name.startswith("_") and _holds_numbers(value):
                vars(module)[name] = plain(value)
    return network


def _holds_numbers(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(isinstance(item, Number) for item in value)
    return isinstance(value, Number)


def run(network: nn.Module, sample: Tensor) -> Tensor:
    """Run a network once without gradients.

    Args:
        network: Network in eval mode.
        sample: Input batch.

    Returns:
        The output, or the logits of an output object that contains logits.

    Raises:
        DsxError: If the network does not run on the sample, or returns something else.
    """
    try:
        with torch.no_grad(), _uncompiled():
            output = network(sample)
    # User code on an input of the shape of the data: any exception is about these.
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
    """Return a context in which higher-order operators run without compilation.

    Compiled code cannot be recorded. The compiler is not imported here, since that takes seconds.
    """
    stance: AbstractContextManager[None] = nullcontext()
    return torch.compiler.set_stance("force_eager") if is_compiler_loaded() else stance


def wrapped(output: object) -> bool:
    """Check whether an output is an object that contains logits.

    Args:
        output: Output of a network.
    """
    return not isinstance(output, Tensor) and isinstance(getattr(output, "logits", None), Tensor)


def has_lazy_weights(network: nn.Module) -> bool:
    """Check whether any weights are uninitialised because the network has not seen an input.

    Args:
        network: Any network.
    """
    held = itertools.chain(network.parameters(), network.buffers())
    return any(is_lazy(tensor) for tensor in held)


def initialise_lazy_weights(network: nn.Module, sample: Tensor) -> None:
    """Initialise the lazy weights of a network by running it once, in place.

    Args:
        network: Any network; it is not run if it has no lazy weights.
        sample: Input batch.

    Raises:
        DsxError: If the network does not run on the sample.
    """
    if has_lazy_weights(network):
        training = network.training
        run(set_mode(network, False), sample)
        set_mode(network, training)
