"""Flops: multiply-adds of convolutions and products of matrices, each once, for one image.

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

from dsx.activity import Kind, activity
from dsx.analysis import Measurement, OperatorCount, Provenance, exact
from dsx.conv import DsxConv, duplicate
from dsx.conv.graph import swap
from dsx.conv.modules import BasisMaps
from dsx.errors import WorkFailed, raise_out_of_memory
from dsx.measure.candidate import Candidate
from dsx.measure.metrics._base import Metric
from dsx.space import NetworkAnalysis, SearchSpace
from dsx.space.network import is_free

COUNTED = (
    "conv", "linear", "matmul", "einsum", "bmm", "mm", "addmm", "baddbmm", "embedding_bag",
    "bilinear", "attention", "recurrent",
)  # fmt: skip
REASON = 200
"""Characters of a reason at most."""


def read(candidate: Candidate) -> Measurement:
    """Count by closed form; the baseline is counted by its operators as well, if they are known."""
    flops = candidate.cost.flops
    changed = bool(candidate.design.changed)
    if changed:
        return exact(flops)
    return exact(
        flops, Provenance(operators=_checked(candidate.network, candidate.space.analysis, flops))
    )


def space_notes(space: SearchSpace) -> list[str]:
    """Return what `flops` of a space leave out, and whether another counter disagrees.

    Args:
        space: The space, whose baseline is counted.

    Returns:
        Sentences; empty if every operator is known and both counters agree.
    """
    return network_notes(space.network(fresh=True), space.analysis)


def network_notes(network: nn.Module, analysis: NetworkAnalysis) -> list[str]:
    """Return what the `flops` of a network leave out, and whether another counter disagrees.

    Args:
        network: The network, in any mode; it is copied.
        census: Slots and costs of the network.

    Returns:
        Sentences; empty if every operator is known and both counters agree.
    """
    flops = analysis.cost({}).flops
    with activity(Kind.CHECKING_FLOPS):
        return notes(flops, _checked(network, analysis, flops))


def notes(flops: float, operators: OperatorCount) -> list[str]:
    """Return what a baseline's `flops` leave out, and whether another counter disagrees.

    Args:
        flops: Multiply-adds of the baseline for one image.
        operators: Result of counting the baseline by its operators.

    Returns:
        Sentences without a full stop; empty if there is nothing to say.
    """
    said = []
    counted, passed_over = operators.counted_by_operator, operators.unknown_to_check
    if counted is not None and counted != flops:
        reason = f", which does not know {_listed(passed_over)}" if passed_over else ""
        said.append(
            f"the baseline's operators count {counted:,}, dsx {flops:,.0f}: objectives and "
            f"constraints use the {flops:,.0f} of dsx; the other figure is a check by "
            f"fvcore{reason}"
        )
    if operators.unknown_operators:
        said.append(
            f"flops leave out operators that are not counted: "
            f"{_listed(operators.unknown_operators)}; if they multiply, "
            " the true flops of every design are higher, also those of the baseline that "
            "relative constraints refer to"
        )
    return said


def _listed(operators: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({times})" for name, times in operators.items())


def _checked(network: nn.Module, analysis: NetworkAnalysis, flops: int) -> OperatorCount:
    """Count a network by following its operators, or give the reason why that cannot be done."""
    unknown = dict(analysis.uncounted)
    try:
        found = follow(network, torch.zeros(1, *analysis.input_shape))
    except WorkFailed as error:
        return OperatorCount(not_counted_by_operator=str(error), unknown_operators=unknown)
    return OperatorCount(
        counted_by_operator=found.counted,
        unknown_operators=unknown,
        unknown_to_check={} if found.counted == flops else dict(found.unknown),
    )


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
        except (Exception, SystemExit) as error:
            raise_out_of_memory(error)
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:REASON]
            raise WorkFailed(f"the operator counter cannot follow the network: {reason}") from error
    unknown = {name: times for name, times in sorted(unsupported.items()) if not is_free(name)}
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
    analysis.set_op_handle("aten::einsum", _count_einsum)
    for product in ("matmul", "mv", "dot", "vdot"):
        analysis.set_op_handle(f"aten::{product}", _count_matmul)
    analysis.set_op_handle("aten::bilinear", _count_bilinear)
    analysis.set_op_handle("aten::scaled_dot_product_attention", _count_attention)
    for cell in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        analysis.set_op_handle(f"aten::{cell}", _count_recurrent)
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
    """Count the additions of binary maps, one less for each output than there are maps.

    The rows of a table that is a weight are only looked up, as those of nn.Embedding.
    """
    from fvcore.nn.jit_handles import get_shape

    if inputs[0].node().kind() in ("prim::GetAttr", "prim::Param"):
        return Counter()
    numbers, (bags, columns) = get_shape(inputs[1])[0], get_shape(outputs[0])
    return Counter(embedding_bag=(numbers - bags) * columns)


def _count_einsum(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count a product of two tensors; without a common sum it works on each element by itself."""
    from fvcore.nn.jit_handles import einsum_flop_jit, get_shape

    sides, _, out = inputs[0].toIValue().replace(" ", "").partition("->")
    shapes = [get_shape(value) for value in inputs[1].node().inputs()]
    words = sides.split(",")
    if len(words) != 2 or "." in sides:
        return Counter(einsum=einsum_flop_jit(inputs, outputs))
    if "->" not in inputs[0].toIValue():
        out = "".join(letter for letter in sides if sides.count(letter) == 1 and letter != ",")
    sizes: dict[str, int] = {}
    for word, shape in zip(words, shapes, strict=True):
        for letter, size in zip(word, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    common = set(words[0]) & set(words[1])
    # What only one side has and the output has not is summed up before.
    return Counter(einsum=math.prod(sizes[letter] for letter in common | set(out))
                   if common - set(out) else 0)  # fmt: skip


def _count_bilinear(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count a nn.Bilinear: each weight once for each pair of vectors."""
    from fvcore.nn.jit_handles import get_shape

    vectors, weight = get_shape(inputs[0])[:-1], get_shape(inputs[2])
    return Counter(bilinear=math.prod(vectors) * math.prod(weight))


def _count_attention(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count queries by keys, and what that gives by values."""
    from fvcore.nn.jit_handles import get_shape

    query, key, value = (get_shape(given) for given in inputs[:3])
    return Counter(attention=math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def _count_recurrent(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """Count a nn.LSTM, nn.GRU or nn.RNN: each weight once for each sequence and time step."""
    from fvcore.nn.jit_handles import get_shape

    # Packed sequences come with their batch sizes, in one dimension less.
    packed = len(get_shape(inputs[1]) or []) == 1
    weights = inputs[3 if packed else 2].node().inputs()
    # Biases are vectors, and only added.
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
