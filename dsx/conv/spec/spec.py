"""ConvSpec: a setting of the four dials."""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dsx.conv.sparsity.shapes import shape_and_number
from dsx.conv.sparsity.window import ratio, window_channels
from dsx.conv.spec.canonical import (
    canonical_groups,
    canonical_shape,
    canonical_stride,
    check_odd_square,
    format_kernel,
)
from dsx.errors import SpecError, unknown
from dsx.plain import plain, plain_fields, written

LEARNED = "learned"
DENSITY = 0.25
"""Default density of learned shapes."""


class SlotSizes(Protocol):
    """The attributes of a slot that its canonical form depends on; a nn.Conv2d has them."""

    @property
    def in_channels(self) -> int:
        """The number of input channels."""

    @property
    def out_channels(self) -> int:
        """The number of output channels."""

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """The height and width of the kernel."""

    @property
    def groups(self) -> int:
        """The number of groups."""


@dataclass(frozen=True, kw_only=True)
class ConvSpec:
    """A setting of the dials, independent of a slot.

    Args:
        kernel_shape: Kernel shape: a name from `dsx/conv/sparsity/shapes`, such as `cross` or
            `het4`; `learned`; or `keep` for the original convolution.
        groups: Number of groups, the input channels divided by the width of the channel window;
            "all" for as many groups as input channels.
        channel_stride: Distance by which the channel window slides from one output to the next:
            "block", or a fraction of the window, 0 < r <= 1, also as a string ("1/3"). None is
            equivalent to "block".
        binary_basis: Number k of shared filters of a binary basis; 0 for real weights.
        splits: Number of channel splits, each of which selects a filter of the binary basis.
        scale: Whether a binary basis has a real scale per output channel; None to decide when
            the convolution is built.
        density: Target fraction of live weights of learned shapes, 0 < density <= 1; None for
            0.25.
        rigid: Whether learned shapes are selected from the 15 rigid ones instead of being free.
        block_in: Number of input channels that share a learned shape.
        block_out: Number of output channels that share a learned shape.
        separable: Whether to use a depthwise K x K convolution, followed by a 1 x 1 convolution
            with the dials.

    Raises:
        SpecError: If the value of a dial is invalid for every slot, or dials are incompatible.
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
        """Whether the spec is `keep`, the original convolution."""
        return self.kernel_shape == "keep"

    @property
    def learned(self) -> bool:
        """Whether the kernel shapes are learned, so that the cost is known only after training."""
        return self.kernel_shape == LEARNED

    def at(self, slot: SlotSizes) -> "ConvSpec":
        """Return the canonical form for one slot, which is equal for equal convolutions.

        Args:
            slot: A nn.Conv2d, or any object with its channels, kernel size and groups.

        Returns:
            The canonical spec; `KEEP` if it is the original convolution.

        Raises:
            SpecError: If the spec is not supported for this slot.
        """
        kernel = tuple(slot.kernel_size)
        return _at(self, *plain((slot.in_channels, slot.out_channels, kernel, slot.groups)))

    def scaled(self, default: bool) -> "ConvSpec":
        """Return the spec with `scale` resolved if it is None and there is a binary basis.

        Args:
            default: Value of `scale` if it is None.

        Returns:
            The spec with `scale` set; the spec itself if there is nothing to resolve.
        """
        if not self.binary_basis or self.scale is not None:
            return self
        return dataclasses.replace(self, scale=default)

    def to_json(self) -> dict[str, Any]:
        """Return the dials that differ from their defaults as plain JSON values."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }

    @classmethod
    def from_json(cls, dials: Mapping[str, Any]) -> "ConvSpec":
        """Build a spec from the result of `to_json`.

        Args:
            dials: Values of the dials by name.

        Returns:
            The spec.

        Raises:
            SpecError: If a dial is unknown or its value is invalid.
        """
        allowed = [field.name for field in dataclasses.fields(cls)]
        for name in dials:
            if name not in allowed:
                raise SpecError(unknown("dial", str(name), allowed))
        return cls(**dials)


def _check_types(spec: ConvSpec) -> None:
    if not isinstance(spec.kernel_shape, str):
        raise SpecError(f"kernel_shape: {spec.kernel_shape!r} is not a string")
    if spec.kernel_shape not in ("keep", LEARNED):
        shape_and_number(spec.kernel_shape)
    if spec.groups != "all" and not _is_integer(spec.groups, 1):
        raise SpecError(f"groups: {spec.groups!r} is neither a positive integer nor 'all'")
    if spec.channel_stride not in (None, "block"):
        _check_stride(spec.channel_stride)
    for name, least in (("binary_basis", 0), ("splits", 1), ("block_in", 1), ("block_out", 1)):
        if not _is_integer(getattr(spec, name), least):
            kind = "positive" if least else "non-negative"
            raise SpecError(f"{name}: {getattr(spec, name)!r} is not a {kind} integer")
    for name in ("rigid", "separable"):
        if not isinstance(getattr(spec, name), bool):
            raise SpecError(f"{name}: {getattr(spec, name)!r} is neither true nor false")
    if not isinstance(spec.scale, bool | None):
        raise SpecError(f"scale: {spec.scale!r} is neither true, false nor null")
    if spec.density is not None and not (_is_real(spec.density) and 0 < spec.density <= 1):
        raise SpecError(f"density: {spec.density!r} is not a number in 0 < density <= 1")


def _check_stride(stride: object) -> None:
    try:
        valid = not isinstance(stride, bool) and 0 < ratio(stride) <= 1  # type: ignore[arg-type]
    except (ValueError, ZeroDivisionError):
        valid = False
    if not valid:
        raise SpecError(
            f"channel_stride: {stride!r} must be 'block' or a fraction r of the window, "
            "0 < r <= 1 (overlap 1 - r)"
        )


def _check_combination(spec: ConvSpec) -> None:
    if spec.keeps and len(spec.to_json()) > 1:
        raise SpecError(
            "keep leaves a convolution unchanged and cannot be combined with other dials"
        )
    if not spec.learned:
        return
    if spec.groups != 1:
        raise SpecError(f"learned shapes need groups = 1, not {spec.groups!r}")
    if spec.binary_basis:
        raise SpecError("learned shapes need real weights: set binary_basis to 0")
    if spec.separable:
        raise SpecError(
            "learned shapes are not supported for separable convolutions, whose dials apply to a "
            "1 x 1 kernel"
        )


def _is_integer(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def original_spec(slot: SlotSizes) -> ConvSpec:
    """Return the original convolution of a slot as a setting of the dials.

    Args:
        slot: A nn.Conv2d, or any object with its channels, kernel size and groups.

    Returns:
        The spec with explicit dials, whose canonical form is `keep`.
    """
    return ConvSpec(
        kernel_shape="point" if tuple(slot.kernel_size) == (1, 1) else "full",
        groups=slot.groups,
        channel_stride="block" if slot.groups > 1 else None,
    )


@functools.lru_cache(maxsize=65536)
def _at(
    spec: ConvSpec, in_channels: int, out_channels: int, kernel: tuple[int, int], own_groups: int
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
            raise SpecError(
                f"rigid learned shapes require a 3 x 3 kernel, not {format_kernel(kernel)}"
            )
    else:
        channels = window_channels(in_channels, out_channels, groups, stride or "block")
        shape = canonical_shape(spec.kernel_shape, (1, 1) if separable else kernel, channels)
    if spec.binary_basis and (in_channels // groups) % spec.splits:
        raise SpecError(
            f"splits = {spec.splits} does not divide the window of {in_channels // groups} channels"
        )
    if _is_original(spec, shape, stride, kernel) and not separable and groups == own_groups:
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
        # A block never exceeds the layer.
        block_in=min(spec.block_in, in_channels) if learned else 32,
        block_out=min(spec.block_out, out_channels) if learned else 16,
        separable=separable,
    )


def _is_original(spec: ConvSpec, shape: str, stride: str | None, kernel: tuple[int, int]) -> bool:
    whole = shape == ("point" if kernel == (1, 1) else "full")
    return whole and stride in (None, "block") and not spec.binary_basis


KEEP = ConvSpec(kernel_shape="keep")
