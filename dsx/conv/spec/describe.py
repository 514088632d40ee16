"""Describe a spec, or one option of a dial, as a person would."""

from collections.abc import Callable
from typing import Any

from dsx.conv.sparsity.shapes import shape_and_number
from dsx.conv.sparsity.window import ratio
from dsx.conv.spec.spec import DENSITY, LEARNED, ConvSpec

_USUAL = ConvSpec()


def words(spec: ConvSpec, in_channels: int | None = None, out_channels: int | None = None) -> str:
    """Describe a spec in words.

    Args:
        spec: Any spec, canonical or not.
        in_channels: Cin of the slot, where it is known: as many groups are depthwise.
        out_channels: Cout of the slot, where it is known: no block is larger.

    Returns:
        A phrase such as "depthwise, then pointwise, sliding window, 2 groups, half overlap",
        "crosses, stacked from 16 binary filters, 2 pieces" or "learned shapes, free, 25% alive".
    """
    if spec.keeps:
        return "as it is"
    if spec.learned:
        return ", ".join([_shape(LEARNED), *_learned(spec, in_channels, out_channels)])
    shape = _shape("point" if spec.separable else spec.kernel_shape)
    phrase = ", ".join([shape, *_window(spec, in_channels), *_stacked(spec)])
    return f"depthwise, then {phrase}" if spec.separable else phrase


def option_words(dial: str, option: object) -> str:
    """Describe one option of a dial.

    Args:
        dial: Its name in a ConvSpec.
        option: A value it can have.

    Returns:
        A phrase without a comma, such as "corners in turn" or "half overlap".
    """
    return _OPTIONS.get(dial, str)(option)


def _shape(name: str) -> str:
    if name == LEARNED:
        return "learned shapes"
    shape, number = shape_and_number(name)
    return shape.words.format(number=number) or name


def _window(spec: ConvSpec, in_channels: int | None) -> list[str]:
    if spec.groups == 1:
        return []
    whole = spec.groups in ("all", in_channels)
    groups = _groups("all") if whole else f"{spec.groups} groups"
    if spec.channel_stride in (None, "block"):
        return [groups]
    slides = ratio(spec.channel_stride or 1) < 1
    return ["sliding window"] * slides + [groups, _stride(spec.channel_stride)]


def _groups(groups: int | str) -> str:
    return "one channel each" if groups == "all" else str(groups)


def _stride(stride: float | str | None) -> str:
    if stride in (None, "block"):
        return "block"
    overlap = 1 - ratio(stride or 1)
    if overlap == 0:
        return "taken in turn"
    part = {"1/2": "half", "1/4": "quarter", "3/4": "three-quarter", "1/3": "third"}
    return f"{part.get(str(overlap), f'{float(overlap):.0%}')} overlap"


def _stacked(spec: ConvSpec) -> list[str]:
    if not spec.binary_basis:
        return []
    filters = "binary filter" if spec.binary_basis == 1 else "binary filters"
    parts = [f"stacked from {spec.binary_basis} {filters}"]
    if spec.splits > 1:
        parts.append(f"{spec.splits} pieces")
    if spec.scale:
        parts.append("scaled")
    return parts


def _learned(spec: ConvSpec, in_channels: int | None, out_channels: int | None) -> list[str]:
    density = DENSITY if spec.density is None else spec.density
    parts = ["rigid" if spec.rigid else "free", f"{_percent(density)} alive"]
    blocks, usual = (
        # A block that is larger than the layer is the whole layer.
        (_at_most(one.block_in, in_channels), _at_most(one.block_out, out_channels))
        for one in (spec, _USUAL)
    )
    if blocks != usual:
        parts.append(f"one per {blocks[0]} inputs x {blocks[1]} outputs")
    return parts


def _at_most(block: int, channels: int | None) -> int:
    return block if channels is None else min(block, channels)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _basis(filters: int) -> str:
    return f"{filters} filter{'s' * (filters > 1)}" if filters else "none"


def _yes(option: bool) -> str:
    return "yes" if option else "no"


_OPTIONS: dict[str, Callable[[Any], str]] = {
    "separable": _yes,
    "kernel_shape": _shape,
    "groups": _groups,
    "channel_stride": _stride,
    "binary_basis": _basis,
    "scale": _yes,
    "density": _percent,
    "rigid": _yes,
}
