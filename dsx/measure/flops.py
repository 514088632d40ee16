"""Flops: multiply-adds of convolutions and linear layers, each counted once, for one image.

This is fvcore's convention less BN and pooling; torch's own counter says twice as much.
"""

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dsx.conv import DsxConv
from dsx.conv.basis_maps import BasisMaps
from dsx.conv.network_calls import duplicate
from dsx.conv.swap import swap
from dsx.errors import WorkFailed, raise_out_of_memory
from dsx.measure._base import Candidate, Metric, Reading

COUNTED = (
    "conv", "linear", "matmul", "einsum", "bmm", "mm", "addmm", "baddbmm", "embedding_bag",
)  # fmt: skip
REASON = 200
"""Characters of a reason at most."""
# Operators that do no multiply-adds by this convention, whether fvcore knows them or not: they work
# on each element by itself, sum up, compare, move data about, make constants, pool, normalise or
# resize. What counts as well, and what nobody has thought about, is not here.
FREE = frozenset([
    "add", "addcmul", "cumsum", "sub", "rsub", "mul", "div", "neg", "abs", "exp", "log", "sqrt",
    "rsqrt", "pow",
    "minimum", "maximum",
    "mean", "sum", "var", "amax", "norm", "clamp", "clamp_min", "clamp_max", "masked_fill",
    "where",
    "cat", "flatten", "unflatten", "unfold", "im2col", "reshape", "view_as", "expand_as",
    "narrow", "movedim", "repeat", "flip", "alias", "clone", "scatter",
    "numel", "zeros", "new_zeros", "ones", "new_ones", "ones_like", "index", "index_add",
    "index_select",
    "channel_shuffle", "pixel_shuffle", "pixel_unshuffle",
    "pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad1d",
    "replication_pad2d",
    "relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "silu", "gelu", "mish",
    "softplus", "softsign", "tanh",
    "sigmoid", "log_sigmoid", "hardtanh", "hardswish", "hardsigmoid", "softmax", "log_softmax",
    "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "dropout", "feature_dropout", "alpha_dropout", "batch_norm", "_weight_norm",
    "upsample_nearest2d",
])  # fmt: skip


def read(candidate: Candidate) -> Reading:
    """Count by closed form; the baseline is counted by its operators as well, if they are known."""
    flops = candidate.cost.flops
    changed = bool(candidate.design.changed)
    conditions = {} if changed else _by_operator(candidate)
    return Reading(value=flops, low=flops, high=flops, conditions=conditions)


def _by_operator(candidate: Candidate) -> dict[str, Any]:
    """Say what the operators of a network count, or why that cannot be said."""
    sample = torch.zeros(1, *candidate.space.data.image_shape)
    try:
        found = follow(candidate.network, sample)
    except WorkFailed as error:
        return {"not_counted_by_operator": str(error)}
    known = {"counted_by_operator": found.counted}
    return known | ({"unknown_operators": dict(found.unknown)} if found.unknown else {})


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What was met on the way through a network.

    Args:
        counted: Multiply-adds of convolutions, linear layers and matrix products, and the
            additions that put binary maps together.
        unknown: Operators that are neither counted nor known to be free: name to how many times.
    """

    counted: int
    unknown: Mapping[str, int]


def count(network: nn.Module, sample: Tensor) -> int:
    """Count by following the operators of the counting form with fvcore.

    Args:
        network: In any mode; it is copied, and left as it is.
        sample: One image, (1, C, H, W).

    Returns:
        Multiply-adds of convolutions, linear layers and matrix products, and the additions that
        put binary maps together.

    Raises:
        WorkFailed: If the network has an operator that is neither counted nor known to be free, or
            cannot be followed.
    """
    found = follow(network, sample)
    if found.unknown:
        raise WorkFailed(f"the operator counter does not know {', '.join(found.unknown)}")
    return found.counted


def follow(network: nn.Module, sample: Tensor) -> Followed:
    """Follow the operators of the counting form with fvcore.

    Args:
        network: In any mode; it is copied, and left as it is.
        sample: One image, (1, C, H, W).

    Returns:
        What was counted, and what was not.

    Raises:
        WorkFailed: If the network cannot be followed.
    """
    with warnings.catch_warnings():
        # fvcore traces with torch.jit, which is deprecated as a whole; it still counts rightly.
        warnings.simplefilter("ignore")
        try:
            counted, unsupported = _followed(network, sample)
        # The tracer runs the user's forward, and can fail on whatever it does.
        except Exception as error:
            raise_out_of_memory(error)
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:REASON]
            raise WorkFailed(f"the operator counter cannot follow the network: {reason}") from error
    unknown = {
        name: times
        for name, times in sorted(unsupported.items())
        # An operator and the one that works in place (`relu_`) do the same.
        if name.removeprefix("aten::").rstrip("_") not in FREE
    }
    return Followed(counted=counted, unknown=unknown)


def _followed(network: nn.Module, sample: Tensor) -> tuple[int, Mapping[str, int]]:
    """Count the operators that are known; count how often each of the others turns up."""
    from fvcore.nn import FlopCountAnalysis

    holder = nn.Sequential(duplicate(network)).eval()
    swap(
        holder,
        {part: part.counting_form() for part in holder.modules() if isinstance(part, DsxConv)},
    )
    analysis = FlopCountAnalysis(holder, sample)
    analysis.set_op_handle("aten::_convolution_mode", _count_convolution)
    analysis.set_op_handle("aten::matmul", _count_matmul)
    # A deployed form may add up products, or binary maps.
    analysis.set_op_handle("aten::baddbmm_", _count_baddbmm)
    analysis.set_op_handle("aten::embedding_bag", _count_embedding_bag)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none")
    counted = analysis.by_operator()
    total = int(sum(counted[operator] for operator in COUNTED))
    return total + _merge_additions(holder, sample), analysis.unsupported_ops()


def _merge_additions(network: nn.Module, sample: Tensor) -> int:
    """Count the additions that put binary maps together, by running the network once."""
    found = []

    def note(maps: nn.Module, args: object, out: Tensor) -> None:
        assert isinstance(maps, BasisMaps)
        found.append(maps.merges * out.shape[2] * out.shape[3])

    merging = [module for module in network.modules() if isinstance(module, BasisMaps)]
    hooks = [module.register_forward_hook(note) for module in merging]
    if merging:
        with torch.no_grad():
            network(sample)
    for hook in hooks:
        hook.remove()
    return sum(found)


def _count_convolution(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count a convolution whose padding is a word, which fvcore does not know."""
    from fvcore.nn.jit_handles import conv_flop_count, get_shape

    image, weight, out = (get_shape(value) for value in (inputs[0], inputs[1], outputs[0]))
    return Counter(conv=conv_flop_count(image, weight, out, transposed=False))


def _count_matmul(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count a product of matrices or vectors, at which fvcore fails where one is a vector."""
    from fvcore.nn.jit_handles import get_shape

    left, right = get_shape(inputs[0]), get_shape(inputs[1])
    if len(right) == 1:
        return Counter(matmul=math.prod(left))
    if len(left) == 1:
        return Counter(matmul=math.prod(right))
    return Counter(matmul=math.prod(get_shape(outputs[0])) * left[-1])


def _count_baddbmm(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count batches of matrix products that are added to something."""
    from fvcore.nn.jit_handles import get_shape

    (batch, rows, inner), (*_, columns) = get_shape(inputs[1]), get_shape(inputs[2])
    return Counter(baddbmm=batch * rows * inner * columns)


def _count_embedding_bag(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count the additions of table rows, one less in each bag than there are rows."""
    from fvcore.nn.jit_handles import get_shape

    numbers, (bags, columns) = get_shape(inputs[1])[0], get_shape(outputs[0])
    return Counter(embedding_bag=(numbers - bags) * columns)


METRIC = Metric(
    unit="multiply-adds",
    direction="minimize",
    cost="static",
    read=read,
    protocol=lambda space: {"version": 1},
)
