"""ConvSpec: one setting of the four dials."""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dsx.conv.sparsity.shapes import shape_and_number
from dsx.conv.sparsity.window import ratio, window_channels
from dsx.conv.spec.canonical import (
    by,
    canonical_groups,
    canonical_shape,
    canonical_stride,
    check_odd_square,
)
from dsx.errors import SpecError, unknown
from dsx.plain import plain, plain_fields, written

LEARNED = "learned"
DENSITY = 0.25
"""Of learned shapes where a spec names none."""


class Standing(Protocol):
    """What the canonical form needs to know of a slot; a nn.Conv2d will do."""

    @property
    def in_channels(self) -> int: ...
    @property
    def out_channels(self) -> int: ...
    @property
    def kernel_size(self) -> tuple[int, ...]: ...
    @property
    def groups(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class ConvSpec:
    """A setting of the dials, for no slot in particular.

    Args:
        kernel_shape: Which kernel positions exist: a file of `dsx/conv/shapes`, `het<P>` with a
            number, `learned`, or `keep` for the convolution that stands there.
        groups: Input channels over window width, or "all" (as many as input channels).
        channel_stride: How far the window slides from one output to the next: "block", or a part
            of the window, 0 < r <= 1, also as a fraction ("1/3"). None means "block".
        binary_basis: 0 for real weights, k > 0 for k shared filters of +1/-1.
        splits: Pieces of the window that choose a basis filter each.
        scale: A real factor per output channel over a binary basis; None: where it is needed.
        density: Target share of live weights of a learned shape, 0 < density <= 1; None: 0.25.
        rigid: Learned shapes from the list of 15, instead of free ones.
        block_in: Input channels that share a learned shape.
        block_out: Output channels that share a learned shape.
        separable: A depthwise K x K convolution, then a 1 x 1 convolution with the dials.

    Raises:
        SpecError: If a dial has a value that no slot could have, or two dials contradict.
    """

    kernel_shape: str = "full"
    groups: int | str = 1
    channel_stride: float | str | None = None
    binary_basis: int = 0
    splits: int = 1
    scale: bool | None = None
    density: float | None = None
    rigid: bool = False
    block_in: int = 32
    block_out: int = 16
    separable: bool = False

    def __post_init__(self) -> None:
        for name in ("channel_stride", "density"):
            object.__setattr__(self, name, written(getattr(self, name)))
        plain_fields(self)
        _check_types(self)
        _check_combination(self)

    @property
    def keeps(self) -> bool:
        """Whether this is `keep`: the convolution that stands there."""
        return self.kernel_shape == "keep"

    @property
    def learned(self) -> bool:
        """Whether the kernel shapes are learned, so that their cost is known after training."""
        return self.kernel_shape == LEARNED

    def at(self, slot: Standing) -> "ConvSpec":
        """Give the canonical form for one slot: what means the same there becomes the same.

        Args:
            slot: A nn.Conv2d, or anything with its channels, kernel size and groups.

        Returns:
            The canonical spec; `KEEP` if it is the convolution that stands there.

        Raises:
            SpecError: If these dials cannot be set on this slot; says why.
        """
        kernel = tuple(slot.kernel_size)
        return _at(self, *plain((slot.in_channels, slot.out_channels, kernel, slot.groups)))

    def scaled(self, default: bool) -> "ConvSpec":
        """Decide on the scale of a binary basis where the dials leave it open.

        Args:
            default: Whether there is one then.

        Returns:
            The spec with a word on its scale; itself without a binary basis.
        """
        if not self.binary_basis or self.scale is not None:
            return self
        return dataclasses.replace(self, scale=default)

    def to_json(self) -> dict[str, Any]:
        """Write the dials that differ from their default as plain JSON values."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }

    @classmethod
    def from_json(cls, dials: Mapping[str, Any]) -> "ConvSpec":
        """Read what `to_json` wrote.

        Args:
            dials: Dial names and values.

        Returns:
            The spec.

        Raises:
            SpecError: If a dial is unknown or its value cannot be.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in dials:
            if name not in known:
                raise SpecError(unknown("dial", str(name), known))
        return cls(**dials)


def _check_types(spec: ConvSpec) -> None:
    if not isinstance(spec.kernel_shape, str):
        raise SpecError(f"kernel_shape: {spec.kernel_shape!r} is not a word")
    if spec.kernel_shape not in ("keep", LEARNED):
        shape_and_number(spec.kernel_shape)
    if spec.groups != "all" and not _whole(spec.groups, 1):
        raise SpecError(f"groups: {spec.groups!r} is neither a whole number from 1 nor 'all'")
    if spec.channel_stride not in (None, "block"):
        _check_stride(spec.channel_stride)
    for name, least in (("binary_basis", 0), ("splits", 1), ("block_in", 1), ("block_out", 1)):
        if not _whole(getattr(spec, name), least):
            raise SpecError(f"{name}: {getattr(spec, name)!r} is not a whole number from {least}")
    for name in ("rigid", "separable"):
        if not isinstance(getattr(spec, name), bool):
            raise SpecError(f"{name}: {getattr(spec, name)!r} is neither true nor false")
    if not isinstance(spec.scale, bool | None):
        raise SpecError(f"scale: {spec.scale!r} is neither true, false nor null")
    if spec.density is not None and not (_number(spec.density) and 0 < spec.density <= 1):
        raise SpecError(f"density: {spec.density!r} is not a number in 0 < density <= 1")


def _check_stride(stride: object) -> None:
    try:
        valid = not isinstance(stride, bool) and 0 < ratio(stride) <= 1  # type: ignore[arg-type]
    except (ValueError, ZeroDivisionError):
        valid = False
    if not valid:
        raise SpecError(
            f"channel_stride: {stride!r} is neither 'block' nor a part of the window "
            "(0 < r <= 1; the overlap is 1 - r)"
        )


def _check_combination(spec: ConvSpec) -> None:
    if spec.keeps and len(spec.to_json()) > 1:
        raise SpecError("keep leaves a convolution as it is; it takes no other dial")
    if not spec.learned:
        return
    if spec.groups != 1:
        raise SpecError(f"learned shapes need groups = 1, not {spec.groups!r}")
    if spec.binary_basis:
        raise SpecError("learned shapes need real weights: set binary_basis to 0")
    if spec.separable:
        raise SpecError(
            "a separable convolution has its dials on a 1 x 1 kernel: no shape to learn"
        )


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def original_spec(slot: Standing) -> ConvSpec:
    """Write the convolution that stands there as dials.

    Args:
        slot: A nn.Conv2d, or anything with its channels, kernel size and groups.

    Returns:
        A spec in the form of a canonical one, though its canonical form is `keep`.
    """
    return ConvSpec(
        kernel_shape="point" if tuple(slot.kernel_size) == (1, 1) else "full",
        groups=slot.groups,
        channel_stride="block" if slot.groups > 1 else None,
    )


@functools.lru_cache(maxsize=65536)
def _at(
    spec: ConvSpec, in_channels: int, out_channels: int, kernel: tuple[int, int], standing: int
) -> ConvSpec:
    if spec.keeps:
        return spec
    separable = spec.separable and kernel != (1, 1)
    groups = canonical_groups(spec.groups, in_channels)
    learned = spec.learned
    if learned and kernel == (1, 1):
        raise SpecError("learned shapes need a kernel larger than 1 x 1")
    stride = canonical_stride(spec.channel_stride, groups, in_channels, out_channels)
    if learned:
        shape = LEARNED
        check_odd_square(LEARNED, kernel)
        if spec.rigid and kernel != (3, 3):
            raise SpecError(f"rigid learned shapes are 3 x 3, this kernel is {by(kernel)}")
    else:
        channels = window_channels(in_channels, out_channels, groups, stride or "block")
        shape = canonical_shape(spec.kernel_shape, (1, 1) if separable else kernel, channels)
    if spec.binary_basis and (in_channels // groups) % spec.splits:
        raise SpecError(
            f"splits = {spec.splits} does not divide the window of {in_channels // groups} channels"
        )
    if _is_standing(spec, shape, stride, kernel) and not separable and groups == standing:
        return KEEP
    return ConvSpec(
        kernel_shape=shape,
        groups=groups,
        channel_stride=stride,
        binary_basis=spec.binary_basis,
        splits=spec.splits if spec.binary_basis else 1,
        scale=spec.scale if spec.binary_basis else None,
        density=float(spec.density or DENSITY) if learned else None,
        rigid=spec.rigid and learned,
        # A block that is larger than the layer is the whole layer.
        block_in=min(spec.block_in, in_channels) if learned else 32,
        block_out=min(spec.block_out, out_channels) if learned else 16,
        separable=separable,
    )


def _is_standing(spec: ConvSpec, shape: str, stride: str | None, kernel: tuple[int, int]) -> bool:
    whole = shape == ("point" if kernel == (1, 1) else "full")
    return whole and stride in (None, "block") and not spec.binary_basis


KEEP = ConvSpec(kernel_shape="keep")
