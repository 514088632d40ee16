"""FLOPs: multiply-adds of convolutions and matrix products for one image; one multiply-add is 1.

This is the convention of fvcore without BN and pooling; the counter of torch reports twice as much.
"""

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dsx.activity import Kind, activity
from dsx.analysis import Measurement, OperatorCount, Provenance, exact
from dsx.conv import DsxConv, duplicate
from dsx.conv.graph import swap
from dsx.conv.modules import BasisMaps
from dsx.conv.native import EXPORTED_OPERATOR
from dsx.errors import WorkFailed, raise_out_of_memory
from dsx.measure.candidate import Candidate
from dsx.measure.metrics._base import Metric
from dsx.space import NetworkAnalysis, SearchSpace
from dsx.space.network import is_free

COUNTED = (
    "conv", "linear", "matmul", "einsum", "bmm", "mm", "addmm", "baddbmm", "embedding_bag",
    "bilinear", "attention", "recurrent", "block_sparse",
)  # fmt: skip
LONGEST_REASON = 200
"""Maximum number of characters of a reason."""


def read(candidate: Candidate) -> Measurement:
    """Compute the FLOPs of a candidate by closed form.

    Args:
        candidate: The candidate; it is trained if its shapes are learned.

    Returns:
        The exact value; for the baseline its provenance has the count by operators as a check.
    """
    flops = candidate.cost.flops
    if candidate.design.changed:
        return exact(flops)
    operators = _operator_check(candidate.network, candidate.space.analysis, flops)
    return exact(flops, Provenance(operators=operators))


def space_notes(space: SearchSpace) -> list[str]:
    """Describe which operators the `flops` of a space exclude, and whether fvcore disagrees.

    Args:
        space: The space, whose baseline is counted.

    Returns:
        Notes without a full stop; none if every operator is known and both counters agree.
    """
    return network_notes(space.network(fresh=True), space.analysis)


def network_notes(network: nn.Module, analysis: NetworkAnalysis) -> list[str]:
    """Describe which operators the `flops` of a network exclude, and whether fvcore disagrees.

    Args:
        network: The network in any mode; it is copied.
        analysis: Slots and costs of the network.

    Returns:
        Notes without a full stop; none if every operator is known and both counters agree.
    """
    flops = analysis.cost({}).flops
    with activity(Kind.CHECKING_FLOPS):
        return notes(flops, _operator_check(network, analysis, flops))


def notes(flops: float, operators: OperatorCount) -> list[str]:
    """Describe which operators the `flops` of a baseline exclude, and whether fvcore disagrees.

    Args:
        flops: Multiply-adds of the baseline for one image.
        operators: Count of the baseline by its operators.

    Returns:
        Notes without a full stop; none if every operator is known and both counters agree.
    """
    found = []
    counted, unchecked = operators.counted_by_operator, operators.unknown_to_check
    if counted is not None and counted != flops:
        reason = f", which does not know {_listed(unchecked)}" if unchecked else ""
        found.append(
            f"fvcore counts {counted:,} multiply-adds of the baseline{reason}, and dsx "
            f"{flops:,.0f}; objectives and constraints use the value of dsx"
        )
    if operators.unknown_operators:
        found.append(
            f"flops do not include the unknown operators {_listed(operators.unknown_operators)}; "
            "if these multiply, the actual FLOPs of every design are higher, including those of "
            "the baseline in relative constraints"
        )
    return found


def _listed(operators: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({times})" for name, times in operators.items())


def _operator_check(network: nn.Module, analysis: NetworkAnalysis, flops: int) -> OperatorCount:
    """Count a network by its operators, or return the reason why it cannot be traced."""
    unknown = dict(analysis.uncounted)
    try:
        found = count_operators(network, torch.zeros(1, *analysis.input_shape))
    except WorkFailed as error:
        return OperatorCount(not_counted_by_operator=str(error), unknown_operators=unknown)
    return OperatorCount(
        counted_by_operator=found.counted,
        unknown_operators=unknown,
        unknown_to_check={} if found.counted == flops else dict(found.unknown),
    )


@dataclass(frozen=True, kw_only=True)
class OperatorCounts:
    """Operators of a network, counted in one forward pass.

    Args:
        counted: Multiply-adds of convolutions, linear layers and matrix products, plus the
            additions that merge binary maps.
        unknown: Number of calls of each operator that is neither counted nor known to be free.
    """

    counted: int
    unknown: Mapping[str, int]


def count(network: nn.Module, sample: Tensor) -> int:
    """Count the multiply-adds of the counting form of a network with fvcore.

    Args:
        network: Network in any mode; it is copied.
        sample: One image, (1, C, H, W).

    Returns:
        Multiply-adds of convolutions, linear layers and matrix products, plus the additions that
        merge binary maps.

    Raises:
        WorkFailed: If the network has an operator that is neither counted nor known to be free, or
            cannot be traced.
    """
    found = count_operators(network, sample)
    if found.unknown:
        raise WorkFailed(f"the operator counter does not know {', '.join(found.unknown)}")
    return found.counted


def count_operators(network: nn.Module, sample: Tensor) -> OperatorCounts:
    """Trace the operators of the counting form of a network with fvcore.

    Args:
        network: Network in any mode; it is copied.
        sample: One image, (1, C, H, W).

    Returns:
        The multiply-adds and the unknown operators.

    Raises:
        WorkFailed: If the network cannot be traced.
    """
    with warnings.catch_warnings():
        # fvcore traces with torch.jit, which is deprecated but still counts correctly.
        warnings.simplefilter("ignore")
        try:
            counted, unsupported = _traced(network, sample)
        # The tracer runs the forward method of the network, which can raise any error.
        except (Exception, SystemExit) as error:
            raise_out_of_memory(error)
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]
            raise WorkFailed(f"the operator counter cannot trace the network: {reason}") from error
    unknown = {name: times for name, times in sorted(unsupported.items()) if not is_free(name)}
    return OperatorCounts(counted=counted, unknown=unknown)


def _traced(network: nn.Module, sample: Tensor) -> tuple[int, Mapping[str, int]]:
    """Count the multiply-adds of known operators, and the calls of each unknown operator."""
    from fvcore.nn import FlopCountAnalysis

    holder = nn.Sequential(duplicate(network)).eval()
    swap(
        holder,
        {part: part.counting_form() for part in holder.modules() if isinstance(part, DsxConv)},
    )
    analysis = FlopCountAnalysis(holder, sample)
    analysis.set_op_handle("aten::_convolution_mode", _count_convolution)
    analysis.set_op_handle("aten::einsum", _count_einsum)
    for product in ("matmul", "mv", "dot", "vdot"):
        analysis.set_op_handle(f"aten::{product}", _count_matmul)
    analysis.set_op_handle("aten::bilinear", _count_bilinear)
    analysis.set_op_handle("aten::scaled_dot_product_attention", _count_attention)
    for cell in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        analysis.set_op_handle(f"aten::{cell}", _count_recurrent)
    # Deployed forms use these to accumulate products and binary maps.
    analysis.set_op_handle("aten::baddbmm_", _count_baddbmm)
    analysis.set_op_handle("aten::embedding_bag", _count_embedding_bag)
    for operator in ("dsx::block_sparse_conv2d_packed", EXPORTED_OPERATOR):
        analysis.set_op_handle(operator, _count_block_sparse)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none")
    counted = analysis.by_operator()
    total = int(sum(counted[operator] for operator in COUNTED))
    return total + _merge_additions(holder, sample), analysis.unsupported_ops()


def _merge_additions(network: nn.Module, sample: Tensor) -> int:
    """Count the additions that merge binary maps, by running the network once."""
    found = []

    def record(maps: nn.Module, args: object, out: Tensor) -> None:
        assert isinstance(maps, BasisMaps)
        found.append(maps.merges * out.shape[2] * out.shape[3])

    merging = [module for module in network.modules() if isinstance(module, BasisMaps)]
    hooks = [module.register_forward_hook(record) for module in merging]
    if merging:
        with torch.no_grad():
            network(sample)
    for hook in hooks:
        hook.remove()
    return sum(found)


def _count_convolution(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count a convolution with string padding, which fvcore does not support."""
    from fvcore.nn.jit_handles import conv_flop_count, get_shape

    image, weight, out = (get_shape(value) for value in (inputs[0], inputs[1], outputs[0]))
    return Counter(conv=conv_flop_count(image, weight, out, transposed=False))


def _count_matmul(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count a product of matrices or vectors; fvcore fails for vectors."""
    from fvcore.nn.jit_handles import get_shape

    left, right = get_shape(inputs[0]), get_shape(inputs[1])
    if len(right) == 1:
        return Counter(matmul=math.prod(left))
    if len(left) == 1:
        return Counter(matmul=math.prod(right))
    return Counter(matmul=math.prod(get_shape(outputs[0])) * left[-1])


def _count_baddbmm(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count batched matrix products that are added to a tensor."""
    from fvcore.nn.jit_handles import get_shape

    (batch, rows, inner), (*_, columns) = get_shape(inputs[1]), get_shape(inputs[2])
    return Counter(baddbmm=batch * rows * inner * columns)


def _count_embedding_bag(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count the additions that merge binary maps: the number of maps minus the number of outputs.

    If the table is a weight, its rows are only looked up, as in nn.Embedding.
    """
    from fvcore.nn.jit_handles import get_shape

    if inputs[0].node().kind() in ("prim::GetAttr", "prim::Param"):
        return Counter()
    numbers, (bags, columns) = get_shape(inputs[1])[0], get_shape(outputs[0])
    return Counter(embedding_bag=(numbers - bags) * columns)


def _count_block_sparse(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count a convolution of the compiled kernels: packed and depthwise weights, and merges."""
    from fvcore.nn.jit_handles import get_shape

    batch, _, rows, columns = get_shape(outputs[0])
    (packed,) = get_shape(inputs[1])
    depthwise, merge = (get_shape(inputs[number]) for number in (4, 6))
    each = packed + (math.prod(depthwise) if depthwise else 0)
    each += merge[0] * (merge[1] - 1) if merge else 0
    return Counter(block_sparse=batch * rows * columns * each)


def _count_einsum(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count an einsum of two tensors; without a common summed index it is elementwise."""
    from fvcore.nn.jit_handles import einsum_flop_jit, get_shape

    sides, _, out = inputs[0].toIValue().replace(" ", "").partition("->")
    shapes = [get_shape(value) for value in inputs[1].node().inputs()]
    operands = sides.split(",")
    if len(operands) != 2 or "." in sides:
        return Counter(einsum=einsum_flop_jit(inputs, outputs))
    if "->" not in inputs[0].toIValue():
        out = "".join(letter for letter in sides if sides.count(letter) == 1 and letter != ",")
    sizes: dict[str, int] = {}
    for operand, shape in zip(operands, shapes, strict=True):
        for letter, size in zip(operand, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    common = set(operands[0]) & set(operands[1])
    # An index of only one operand that is not in the output is summed beforehand.
    return Counter(einsum=math.prod(sizes[letter] for letter in common | set(out))
                   if common - set(out) else 0)  # fmt: skip


def _count_bilinear(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count nn.Bilinear: one multiply-add per weight and pair of vectors."""
    from fvcore.nn.jit_handles import get_shape

    vectors, weight = get_shape(inputs[0])[:-1], get_shape(inputs[2])
    return Counter(bilinear=math.prod(vectors) * math.prod(weight))


def _count_attention(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count the products of queries and keys, and of attention weights and values."""
    from fvcore.nn.jit_handles import get_shape

    query, key, value = (get_shape(given) for given in inputs[:3])
    return Counter(attention=math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def _count_recurrent(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count nn.LSTM, nn.GRU or nn.RNN: one multiply-add per weight, sequence and time step."""
    from fvcore.nn.jit_handles import get_shape

    # Packed sequences have an additional input with their batch sizes, which is a vector.
    packed = len(get_shape(inputs[1]) or []) == 1
    weights = inputs[3 if packed else 2].node().inputs()
    # Biases are vectors and are only added.
    numbers = sum(math.prod(shape) for shape in map(get_shape, weights) if len(shape) == 2)
    return Counter(recurrent=numbers * math.prod(get_shape(inputs[0])[:-1]))


METRIC = Metric(
    unit="multiply-adds",
    direction="minimize",
    stage="static",
    read=read,
    protocol=lambda space: {"version": 1},
    closed_form=lambda cost: cost.flops,
    always=True,
    rank=1,
)
