"""Block-sparse: the compiled kernel of dsx over live weights only."""

import dataclasses
import functools
import hashlib

import numpy as np
from torch import Tensor, nn

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.separable import SeparableConv2d
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.native.kernel import is_supported, missing
from dsx.conv.native.module import BlockSparseConv2d
from dsx.conv.native.plan import MOST_PADDING, Plan, make_plan
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import spread_layout


@dataclasses.dataclass(frozen=True)
class _Mask:
    """A mask that is a key of a cache.

    Args:
        digest: Hash of the mask.
        live: The mask, (Cout, Cin, K, K).
    """

    digest: bytes
    live: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]" = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=64)
def _plan(mask: _Mask, geometry: Geometry) -> Plan:
    return make_plan(mask.live, geometry)


def plan_for(live: Tensor, geometry: Geometry) -> Plan:
    """Plan a convolution, or return the plan of an equal one.

    Args:
        live: Mask of the live weights, (Cout, Cin, KH, KW) boolean.
        geometry: Geometry, as for `make_plan`.

    Returns:
        The plan.
    """
    mask = live.numpy()
    digest = hashlib.sha256(np.packbits(mask).tobytes() + repr(mask.shape).encode()).digest()
    return _plan(_Mask(digest, mask), geometry)


def plan_of(conv: DsxConv) -> Plan:
    """Plan a convolution over windows, or the pointwise stage of a separable one.

    Args:
        conv: The convolution.

    Returns:
        The plan for its current shapes.
    """
    stage = conv.pointwise if isinstance(conv, SeparableConv2d) else conv
    assert isinstance(stage, WindowedConv2d), type(stage)
    layout = stage.layout
    return plan_for(spread_layout(layout.live, layout, stage.geometry), conv.geometry)


def build(conv: DsxConv) -> nn.Module | None:
    """Build the form; it applies to every convolution over windows, separable or not.

    Args:
        conv: Convolution to deploy.

    Returns:
        The module, or None if the form does not apply or the kernels cannot compute it.
    """
    stage = conv.pointwise if isinstance(conv, SeparableConv2d) else conv
    if not isinstance(stage, WindowedConv2d) or not is_supported(conv.geometry):
        return None
    weight, bias = stage.dense_weight(), stage.dense_bias()
    if missing(weight.dtype, weight.device) is not None:
        return None
    geometry, plan = conv.geometry, plan_of(conv)
    if plan.padding > MOST_PADDING:
        return None
    first = conv.depthwise if isinstance(conv, SeparableConv2d) else None
    return BlockSparseConv2d(
        plan,
        weight,
        bias,
        geometry,
        None if first is None else first.weight,
        None if first is None else first.bias,
    )


FORM = Form(build=build, native=True)
