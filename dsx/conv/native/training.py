"""Training of sparse convolutions with the compiled kernels, where these are faster than torch."""

import dataclasses
import functools

import torch
from torch import Tensor

from dsx.conv.native.kernel import is_supported, missing
from dsx.conv.native.operators import TrainingPlans, training_plans
from dsx.conv.native.plan import MOST_PADDING
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import Layout, layout, spread_layout
from dsx.conv.spec.spec import ConvSpec
from dsx.torch_private import is_observed

MOST_DENSITY = 0.75
"""Fraction of live weights from which a dense convolution of torch is as fast; measured by
`dsx bench conv`."""


def is_possible(x: Tensor, weight: Tensor, geometry: Geometry) -> bool:
    """Check whether the kernels can compute a convolution in training.

    Args:
        x: Input of the convolution.
        weight: Weight of the convolution.
        geometry: Geometry of the convolution.

    Returns:
        Whether geometry, number format, memory layout and device are supported, and no compiler
        or counter of operators observes the call.
    """
    pointwise = geometry.kernel_size == (1, 1) and not any(geometry.padding)
    return (
        is_supported(geometry)
        and (geometry.stride == (1, 1) or pointwise)
        and not is_observed(x)
        and x.dim() == 4
        and x.dtype == weight.dtype
        and missing(x.dtype, x.device) is None
        and not torch.is_autocast_enabled(x.device.type)
        and x.is_contiguous()
    )


@functools.lru_cache(maxsize=256)
def fixed_plans(spec: ConvSpec, geometry: Geometry) -> TrainingPlans | None:
    """Plan the training of a convolution with a fixed kernel shape.

    Args:
        spec: Canonical spec with a fixed kernel shape.
        geometry: Geometry of the convolution.

    Returns:
        The plans; None if a dense or grouped convolution of torch is faster.
    """
    return plans_of(layout(spec, geometry), geometry)


def plans_of(frame: Layout, geometry: Geometry) -> TrainingPlans | None:
    """Plan the training of a convolution.

    Args:
        frame: Layout of the live weights.
        geometry: Geometry of the convolution.

    Returns:
        The plans, for a weight (Cout, gw, box height, box width); None if a dense or grouped
        convolution of torch is faster.
    """
    total = geometry.in_channels * geometry.out_channels
    total *= geometry.kernel_size[0] * geometry.kernel_size[1]
    if frame.live_count > MOST_DENSITY * total:
        return None
    live = frame.live
    stored = torch.arange(live.numel()).reshape(live.shape)
    # A convolution with a stride and one kernel position reads a smaller image, see `convolve`.
    plans = training_plans(
        spread_layout(live, frame, geometry).numpy(),
        dataclasses.replace(geometry, stride=(1, 1)),
        spread_layout(stored, frame, geometry).numpy(),
    )
    padding = max(plans.forward.padding, plans.backward.padding)
    return None if padding > MOST_PADDING else plans


def subsampled(x: Tensor, geometry: Geometry) -> Tensor:
    """Return the pixels that a convolution with one kernel position reads.

    Args:
        x: Batch of images, (B, Cin, H, W).
        geometry: Geometry of the convolution.

    Returns:
        The images, of the size of the output.
    """
    down, across = geometry.stride
    return x if (down, across) == (1, 1) else x[:, :, ::down, ::across]
