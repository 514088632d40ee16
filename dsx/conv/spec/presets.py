"""Presets: settings of the dials that correspond to published operators."""

import dataclasses
import inspect
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from dsx.conv.spec.spec import ConvSpec
from dsx.errors import SpecError, unknown
from dsx.plain import written


def preset(name: str, /, **arguments: Any) -> ConvSpec:
    """Return the spec of a published operator.

    Args:
        name: Name of the preset: `standard`, `depthwise`, `group`, `pointwise`, `scc`, `ssc`,
            `hetconv`, `lhc` or `slbf`.
        **arguments: Arguments of the preset, such as groups and overlap for `scc` or p for
            `hetconv`, and dials by name.

    Returns:
        The spec.

    Raises:
        SpecError: If the preset does not exist or does not accept an argument.

    Example:
        >>> preset("scc", groups=2, overlap=0.5).to_json()
        {'kernel_shape': 'point', 'groups': 2, 'channel_stride': 0.5, 'separable': True}
    """
    if name not in _PRESETS:
        raise SpecError(unknown("preset", name, _PRESETS))
    try:
        return _PRESETS[name](**{dial: written(value) for dial, value in arguments.items()})
    except TypeError as error:
        raise SpecError(f"preset {name}: {_plain(error)}") from error


def preset_names() -> list[str]:
    """Return the names of all presets, in the order of publication."""
    return list(_PRESETS)


def preset_arguments(name: str) -> list[str]:
    """Return the arguments that a preset accepts.

    Args:
        name: Name of the preset.

    Returns:
        The names of its specific arguments, followed by the other dials.
    """
    parameters = inspect.signature(_PRESETS[name]).parameters.values()
    named = [
        parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD
    ]
    dials = [field.name for field in dataclasses.fields(ConvSpec)]
    return list(dict.fromkeys([*named, *dials]))


def _plain(error: TypeError) -> str:
    """Return the message of a TypeError about arguments without the name of the function."""
    if "multiple values for" in str(error):
        return f"sets {str(error).rpartition(' ')[2]} itself"
    return str(error).partition("() ")[2] or str(error)


def _standard(**dials: Any) -> ConvSpec:
    return ConvSpec(**dials)


def _depthwise(**dials: Any) -> ConvSpec:
    return ConvSpec(**{"groups": "all", **dials})


def _group(groups: int = 2, **dials: Any) -> ConvSpec:
    return ConvSpec(groups=groups, **dials)


def _pointwise(**dials: Any) -> ConvSpec:
    return ConvSpec(**{"kernel_shape": "point", **dials})


def _scc(
    groups: int = 2, overlap: float | str = 0.5, separable: bool = True, **dials: Any
) -> ConvSpec:
    """Return the spec of a sliding-channel convolution, whose channel stride is 1 - overlap."""
    try:
        stride = 1 - Fraction(str(overlap))
    except (ValueError, ZeroDivisionError):
        stride = Fraction(0)
    if not 0 < stride <= 1:
        raise SpecError(f"preset scc: overlap: {overlap!r} is not in 0 <= overlap < 1")
    decimal = float(stride)
    exact = Fraction(str(decimal)) == stride
    return ConvSpec(
        kernel_shape="point",
        groups=groups,
        channel_stride=decimal if exact else str(stride),
        separable=separable,
        **dials,
    )


def _ssc(kernel_shape: str = "cross", **dials: Any) -> ConvSpec:
    return ConvSpec(kernel_shape=kernel_shape, **dials)


def _hetconv(p: int = 4, **dials: Any) -> ConvSpec:
    return ConvSpec(kernel_shape=f"het{p}", **dials)


def _lhc(density: float = 0.25, **dials: Any) -> ConvSpec:
    return ConvSpec(kernel_shape="learned", density=density, **dials)


def _slbf(k: int = 64, splits: int = 2, **dials: Any) -> ConvSpec:
    return ConvSpec(binary_basis=k, splits=splits, **dials)


_PRESETS: dict[str, Callable[..., ConvSpec]] = {
    "standard": _standard,
    "depthwise": _depthwise,
    "group": _group,
    "pointwise": _pointwise,
    "scc": _scc,
    "ssc": _ssc,
    "hetconv": _hetconv,
    "lhc": _lhc,
    "slbf": _slbf,
}
