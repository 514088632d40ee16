"""Constructor calls that rebuild modules of torch.nn."""

import ast
import inspect
from collections.abc import Iterator

import torch
from torch import nn

from dsx.errors import WorkFailed

# Arguments of which one number applies to all directions.
_SIDES = ("kernel_size", "stride", "padding", "dilation", "output_size")
_ABSENT = inspect.Parameter.empty


def constructor_call(module: nn.Module) -> str:
    """Return the call that builds a module equal to the given one.

    Args:
        module: A module of torch.nn.

    Returns:
        Python code such as `nn.Conv2d(8, 16, 3, padding=1, bias=False)`.

    Raises:
        WorkFailed: If torch.nn has no such module, or its arguments cannot be determined.
    """
    kind = type(module)
    if getattr(nn, kind.__name__, None) is not kind:
        raise WorkFailed(f"model.py cannot contain a {kind.__module__}.{kind.__name__}")
    for short in (True, False):
        call = f"nn.{kind.__name__}({', '.join(_arguments(module, short))})"
        if _builds(call, module):
            return call
    raise WorkFailed(f"model.py cannot determine the arguments of a nn.{kind.__name__}")


def _arguments(module: nn.Module, short: bool) -> Iterator[str]:
    """Iterate over the arguments that differ from the defaults, as code."""
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
        raise WorkFailed(f"model.py cannot contain the argument {text}") from error
    return text


def _builds(call: str, module: nn.Module) -> bool:
    """Check whether a call builds an equal module, since some do not store all arguments."""
    try:
        # Modules draw random initial weights.
        with torch.random.fork_rng():
            built = eval(call, {"nn": nn, "float": float})
    except (TypeError, ValueError, NameError, SyntaxError, AttributeError):
        return False
    shapes = [
        {name: tensor.shape for name, tensor in each.state_dict().items()}
        for each in (built, module)
    ]
    return repr(built) == repr(module) and shapes[0] == shapes[1]
