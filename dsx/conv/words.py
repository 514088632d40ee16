"""Describe a spec as a person would."""

from dsx.conv.shapes import shape_and_number
from dsx.conv.spec import ConvSpec
from dsx.conv.window import ratio


def words(spec: ConvSpec, in_channels: int | None = None) -> str:
    """Describe a spec in words.

    Args:
        spec: Any spec, canonical or not.
        in_channels: Cin of the slot, where it is known: as many groups are depthwise.

    Returns:
        A phrase such as "depthwise, then pointwise, sliding window, 2 groups, half overlap".
    """
    if spec.keeps:
        return "as it is"
    parts = [_shape(spec), *_window(spec, in_channels)]
    if spec.binary_basis:
        parts.append(f"{spec.binary_basis} binary filters")
        if spec.splits > 1:
            parts.append(f"{spec.splits} splits")
    phrase = ", ".join(part for part in parts if part)
    return f"depthwise, then {phrase}" if spec.separable else phrase


def _shape(spec: ConvSpec) -> str:
    if spec.kernel_shape == "learned":
        density = "" if spec.density is None else f", {spec.density:.0%} alive"
        return f"learned {'rigid' if spec.rigid else 'free'} shapes{density}"
    name = "point" if spec.separable else spec.kernel_shape
    shape, number = shape_and_number(name)
    return shape.words.format(number=number) or name


def _window(spec: ConvSpec, in_channels: int | None) -> list[str]:
    if spec.groups == 1:
        return []
    whole = spec.groups in ("all", in_channels)
    groups = "one channel each" if whole else f"{spec.groups} groups"
    if spec.channel_stride in (None, "block"):
        return [groups]
    overlap = 1 - ratio(spec.channel_stride or 1)
    if overlap == 0:
        return [groups, "taken in turn"]
    part = {"1/2": "half", "1/4": "quarter", "3/4": "three-quarter", "1/3": "third"}
    return ["sliding window", groups, f"{part.get(str(overlap), f'{float(overlap):.0%}')} overlap"]
