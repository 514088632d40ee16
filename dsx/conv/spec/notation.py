"""The notation of a spec: a short, exact code of its dials, such as `sep g8 r1 b32/2`."""

from collections.abc import Iterator

from dsx.conv.sparsity.window import ratio
from dsx.conv.spec.spec import DENSITY, ConvSpec

_DEFAULT = ConvSpec()


def notation(
    spec: ConvSpec, in_channels: int | None = None, out_channels: int | None = None
) -> str:
    """Write a spec in the notation of `docs/dials.md`.

    Args:
        spec: Any spec, canonical or not.
        in_channels: Input channels of the slot, if known: as many groups are written as `dw`.
        out_channels: Output channels of the slot, if known: blocks are cut to the layer.

    Returns:
        Codes separated by spaces. Two canonical specs of one slot have equal notations only if
        they are equal.
    """
    return " ".join(_codes(spec, in_channels, out_channels))


def _codes(spec: ConvSpec, in_channels: int | None, out_channels: int | None) -> Iterator[str]:
    yield "sep" if spec.separable else spec.kernel_shape
    if spec.learned:
        yield from _learned(spec, in_channels, out_channels)
        return
    if spec.groups != 1:
        yield "dw" if spec.groups in ("all", in_channels) else f"g{spec.groups}"
        if spec.channel_stride not in (None, "block"):
            yield f"r{ratio(spec.channel_stride or 1)}"
    if spec.binary_basis:
        splits = f"/{spec.splits}" if spec.splits > 1 else ""
        yield f"b{spec.binary_basis}{splits}"
        if spec.scale is not False:
            yield "s?" if spec.scale is None else "s"


def _learned(spec: ConvSpec, in_channels: int | None, out_channels: int | None) -> Iterator[str]:
    if spec.rigid:
        yield "rigid"
    density = DENSITY if spec.density is None else spec.density
    yield f"d{str(density).removesuffix('.0')}"
    blocks, default = (
        # A block that is larger than the layer is the whole layer.
        (_at_most(one.block_in, in_channels), _at_most(one.block_out, out_channels))
        for one in (spec, _DEFAULT)
    )
    if blocks != default:
        yield f"{blocks[0]}x{blocks[1]}"


def _at_most(block: int, channels: int | None) -> int:
    return block if channels is None else min(block, channels)
