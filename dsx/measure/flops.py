"""Flops: multiply-adds of convolutions and linear layers, each counted once, for one image.

This is fvcore's convention less BN and pooling; torch's own counter says twice as much.
"""

import copy

import torch
from torch import Tensor, nn

from dsx.conv import DsxConv
from dsx.conv.swap import swap
from dsx.errors import WorkFailed
from dsx.measure._base import Candidate, Metric, Reading

# Operators that do no multiply-adds by this convention, and that fvcore does not know.
FREE = frozenset(
    [
        "add",
        "add_",
        "sub",
        "sub_",
        "mul",
        "mul_",
        "div",
        "div_",
        "mean",
        "sum",
        "clamp",
        "cat",
        "flatten",
        "reshape",
        "zeros",
        "new_zeros",
        "clone",
        "index",
        "index_add",
        "index_select",
        "channel_shuffle",
        "pad",
        "constant_pad_nd",
        "reflection_pad2d",
        "replication_pad2d",
        "relu",
        "relu_",
        "leaky_relu",
        "leaky_relu_",
        "silu",
        "silu_",
        "gelu",
        "sigmoid",
        "softmax",
        "hardtanh",
        "hardtanh_",
        "hardswish",
        "hardswish_",
        "hardsigmoid",
        "max_pool2d",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "dropout",
        "dropout_",
        "feature_dropout",
        "batch_norm",
        "upsample_nearest2d",
    ]
)


def read(candidate: Candidate) -> Reading:
    """Count by closed form; the baseline is counted by its operators as well."""
    flops = candidate.cost.flops
    conditions = {}
    if not candidate.design.changed:
        sample = torch.zeros(1, *candidate.space.dataset.image_shape)
        conditions["counted_by_operator"] = count(candidate.network, sample)
    return Reading(value=flops, low=flops, high=flops, conditions=conditions)


def count(network: nn.Module, sample: Tensor) -> int:
    """Count by following the operators of the counting form with fvcore.

    Args:
        network: In any mode; it is copied, and left as it is.
        sample: One image, (1, C, H, W).

    Returns:
        Multiply-adds of convolutions, linear layers and matrix products.

    Raises:
        WorkFailed: If the network has an operator that is neither counted nor known to be free.
    """
    from fvcore.nn import FlopCountAnalysis

    holder = nn.Sequential(copy.deepcopy(network)).eval()
    forms: dict[nn.Module, nn.Module] = {
        module: module.counting_form() for module in holder.modules() if isinstance(module, DsxConv)
    }
    swap(holder, forms)
    analysis = FlopCountAnalysis(holder, sample)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none")
    counted = analysis.by_operator()
    unknown = {op for op in analysis.unsupported_ops() if op.removeprefix("aten::") not in FREE}
    if unknown:
        raise WorkFailed(f"the operator counter does not know {', '.join(sorted(unknown))}")
    return int(sum(counted[op] for op in ("conv", "linear", "matmul", "einsum", "bmm", "addmm")))


METRIC = Metric(
    unit="", direction="minimize", cost="static", read=read, protocol=lambda space: {"version": 1}
)
