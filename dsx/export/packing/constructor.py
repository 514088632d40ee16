"""Write the Python that builds a module of torch.nn like a given one."""

import ast
import inspect
from collections.abc import Iterator

import torch
from torch import nn

from dsx.errors import WorkFailed

# Arguments for which one number stands for the same number in every direction.
_SIDES = ("kernel_size", "stride", "padding", "dilation", "output_size")
_ABSENT = inspect.Parameter.empty


def constructor(module: nn.Module) -> str:
    """Write the call that builds a module like this one.

    Args:
        module: One of torch.nn.

    Returns:
        Python, such as `nn.Conv2d(8, 16, 3, padding=1, bias=False)`.

    Raises:
        WorkFailed: If torch.nn has no such module, or its arguments cannot be read off it.
    """
    kind = type(module)
    if getattr(nn, kind.__name__, None) is not kind:
        raise WorkFailed(f"model.py cannot hold a {kind.__module__}.{kind.__name__}")
    for short in (True, False):
        call = f"nn.{kind.__name__}({', '.join(_arguments(module, short))})"
        if _builds(call, module):
            return call
    raise WorkFailed(f"model.py cannot tell with which arguments a nn.{kind.__name__} was made")


def _arguments(module: nn.Module, short: bool) -> Iterator[str]:
    """Write the arguments that are not the defaults; one side for all sides where it is short."""
    for name, parameter in inspect.signature(type(module)).parameters.items():
        value = getattr(module, name, _ABSENT)
        if name in ("device", "dtype") or value is _ABSENT:
            continue
        if isinstance(value, torch.Tensor) or (name == "bias" and value is None):
            value = value is not None
        if short and name in _SIDES and isinstance(value, tuple) and len(set(value)) == 1:
            value = value[0]
        if parameter.default is _ABSENT:
            yield _literal(value)
        elif value != parameter.default:
            yield f"{name}={_literal(value)}"


def _literal(value: object) -> str:
    text = repr(value)
    if text in ("inf", "-inf", "nan"):
        return f'float("{text}")'
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise WorkFailed(f"model.py cannot hold the argument {text}") from error
    return text


def _builds(call: str, module: nn.Module) -> bool:
    """Say whether a call builds such a module: some do not keep all of their arguments."""
    try:
        # A module draws its initial weights.
        with torch.random.fork_rng():
            built = eval(call, {"nn": nn, "float": float})
    except (TypeError, ValueError, NameError, SyntaxError, AttributeError):
        return False
    shapes = [
        {name: tensor.shape for name, tensor in each.state_dict().items()}
        for each in (built, module)
    ]
    return repr(built) == repr(module) and shapes[0] == shapes[1]
