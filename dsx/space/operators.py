"""Operators of torch: how many multiply-adds each call takes, and which operators take none."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
# Operators that do no multiply-adds by the convention of `flops`, in addition to those that torch
# tags as working on each element by itself or as reductions, and to views: they sum up, compare,
# move data about, make constants, pool, normalise or resize. What counts as well, and what is not
# known, is not here. Composite operators are here because fvcore sees them.
FREE = frozenset([
    "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "trace", "kron", "outer",
    "linalg_norm", "linalg_vector_norm", "frobenius_norm", "clamp_min", "clamp_max",
    "mT", "mH", "numpy_T", "chunk", "unsafe_chunk", "masked_fill", "glu",
    "floor_divide", "softmax", "log_softmax", "masked_softmax",
    "cat", "stack", "flatten", "unflatten", "unfold", "im2col", "col2im", "reshape", "view_as",
    "expand_as", "narrow", "movedim", "repeat", "repeat_interleave", "tile", "flip", "roll",
    "rot90", "alias", "clone", "copy", "to_copy", "contiguous", "set", "resize", "take", "put",
    "scatter", "scatter_add", "scatter_reduce", "gather", "index", "index_add", "index_copy",
    "index_fill", "index_put", "index_put_impl", "index_reduce", "index_select", "unsafe_index",
    "unsafe_index_put", "unsafe_masked_index", "masked_select", "masked_scatter", "select_scatter",
    "slice_scatter", "diagonal_scatter", "as_strided_scatter", "unsafe_view", "unsafe_split",
    "unsafe_split_with_sizes", "split_with_sizes_copy", "segment_reduce", "detach", "lift",
    "lift_fresh", "lift_fresh_copy", "reshape_copy", "reshape_alias", "chunk_cat", "block_diag",
    "diag_embed", "tril", "triu", "tril_indices", "triu_indices", "complex", "polar",
    "numel", "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty",
    "new_empty_strided", "zeros", "zeros_like", "new_zeros", "zero", "ones", "ones_like",
    "new_ones", "full", "full_like", "new_full", "fill", "eye", "arange", "linspace", "logspace",
    "range", "scalar_tensor", "local_scalar_dense", "efficientzerotensor", "hann_window",
    "hamming_window", "affine_grid_generator", "rand", "rand_like", "randn", "randn_like",
    "randint", "randint_like", "randperm", "normal", "uniform", "bernoulli", "exponential",
    "random", "multinomial", "poisson",
    "sort", "topk", "kthvalue", "median", "nanmedian", "mode", "argsort", "nonzero",
    "nonzero_static", "searchsorted", "bucketize", "bincount", "histc", "isin", "allclose",
    "unique", "unique2", "unique_dim", "unique_consecutive", "is_all_true", "is_any_true",
    "assert_async", "assert_tensor_metadata", "assert_scalar", "fused_sdp_choice",
    "embedding", "embedding_bag", "embedding_bag_forward_only", "embedding_renorm",
    "channel_shuffle", "pixel_shuffle", "pixel_unshuffle",
    "pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
    "replication_pad1d", "replication_pad2d", "replication_pad3d",
    "prelu", "prelu_kernel", "softsign", "log_sigmoid", "log_sigmoid_forward", "hardswish",
    "rrelu_with_noise", "safe_softmax",
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices",
    "max_unpool2d", "max_unpool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "fractional_max_pool2d",
    "fractional_max_pool3d",
    "dropout", "feature_dropout", "alpha_dropout", "native_dropout", "batch_norm",
    "native_batch_norm", "batch_norm_no_update", "batch_norm_with_update",
    "native_batch_norm_legit", "native_batch_norm_legit_no_training", "native_layer_norm",
    "native_group_norm", "layer_norm", "group_norm", "instance_norm", "weight_norm",
    "weight_norm_interface", "renorm",
    "transform_bias_rescale_qkv", "pack_padded_sequence", "pad_packed_sequence",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_nearest_exact1d",
    "upsample_nearest_exact2d", "upsample_nearest_exact3d", "upsample_linear1d",
    "upsample_bilinear2d", "upsample_bilinear2d_aa", "upsample_bicubic2d",
    "upsample_bicubic2d_aa", "upsample_trilinear3d", "grid_sampler", "grid_sampler_2d",
    "grid_sampler_3d",
])  # fmt: skip

Given = Mapping[str, Any]
"""Arguments of a call by the names of the operator's schema."""


def is_free(name: str) -> bool:
    """Check whether an operator does no multiply-adds by the convention of `flops`.

    Args:
        name: Name of the operator with its namespace, such as "aten::relu_".

    Returns:
        Whether it is known to do none; False for operators of other namespaces than torch's.
    """
    namespace, _, own = name.partition("::")
    if namespace != "aten":
        return False
    # An operator, the one that works in place (`relu_`) and a private variant do the same.
    return own.strip("_") in FREE or _is_elementwise(own)


def _is_elementwise(name: str) -> bool:
    """Check whether torch marks an operator as elementwise, a reduction or a view."""
    for known in (name, name.rstrip("_")):
        packet = getattr(aten, known, None)
        if packet is None:
            continue
        for overload in packet.overloads():
            operator = getattr(packet, overload)
            tags = {torch.Tag.pointwise, torch.Tag.reduction} & set(operator.tags)
            if tags or operator.is_view:
                return True
    return False


def multiply_adds(
    operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: object
) -> int | None:
    """Count the multiply-adds of one call of an operator, each once.

    Args:
        operator: Operator as `__torch_dispatch__` gets it.
        args: Positional arguments of the call.
        kwargs: Named arguments of the call.
        out: Result of the call.

    Returns:
        The multiply-adds of convolutions, linear layers and products of two matrices; 0 for an
        operator that does none, None for one that is not known.
    """
    packet = getattr(operator, "overloadpacket", operator)
    formula = _FORMULAS.get(packet)
    if formula is not None:
        names = [argument.name for argument in operator._schema.arguments]
        return formula(dict(zip(names, args, strict=False)) | dict(kwargs), out)
    count: Callable[..., int] | None = flop_registry.get(packet)
    if count is not None:
        # torch counts a multiplication and an addition as two.
        return count(*args, **kwargs, out_val=out) // 2
    return 0 if is_free(operator_name(operator)) else None


def is_composite(operator: Any) -> bool:
    """Check whether an operator is only a name for others, which are counted in its place.

    Args:
        operator: Operator as `__torch_dispatch__` gets it.
    """
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return (
        isinstance(operator, torch._ops.OpOverload)
        and operator.overloadpacket not in _FORMULAS
        and operator.overloadpacket not in flop_registry
        and operator.has_kernel_for_dispatch_key(key)
    )


def operator_name(operator: Any) -> str:
    """Return the name of an operator with its namespace, such as "aten::mm".

    Args:
        operator: Operator as `__torch_dispatch__` gets it.
    """
    schema = getattr(operator, "_schema", None)
    return str(operator.name()) if schema is None else str(schema.name)


def _vector(given: Given, out: object) -> int:
    """A matrix or a vector by a vector: each number of the first one meets one of the second."""
    return int(given["mat" if "mat" in given else "self"].numel())


def _matrices(given: Given, out: object) -> int:
    """Two matrices: each number of the first meets each column of the second."""
    return int(given["self"].numel() * given["mat2"].shape[-1])


def _added_matrices(given: Given, out: object) -> int:
    return int(given["mat1"].numel() * given["mat2"].shape[-1])


def _added_batches(given: Given, out: object) -> int:
    return int(given["batch1"].numel() * given["batch2"].shape[-1])


def _trilinear(given: Given, out: object) -> int:
    """Two vectors and a weight of nn.Bilinear: each weight once for each pair of vectors.

    The outer product of the vectors works on each element by itself, so that it is free.
    """
    sides: list[dict[int, int]] = []
    for tensor, new in (("i1", "expand1"), ("i2", "expand2"), ("i3", "expand3")):
        sizes, grown = list(given[tensor].shape), list(given[new])
        for place in sorted(grown):
            sizes.insert(place, 1)
        sides.append(dict(enumerate(sizes)))
    return math.prod(max(side[place] for side in sides) for place in sides[0])


def _recurrent(given: Given, out: object) -> int:
    """One layer and direction of a nn.LSTM, nn.GRU or nn.RNN: each weight at each time step."""
    steps_and_batch = given["input"].shape[0] * given["input"].shape[1]
    return int(steps_and_batch * (given["weight0"].numel() + given["weight1"].numel()))


def _time_batch_convolution(given: Given, out: object) -> int:
    """A 1-d convolution of (time, batch, channels), whose weight is (time, inputs, outputs)."""
    assert isinstance(out, Tensor)
    return out.shape[0] * out.shape[1] * int(given["weight"].numel())


def _attention(given: Given, out: object) -> int:
    """Queries by keys, and what that gives by values."""
    query, key, value = given["query"], given["key"], given["value"]
    return int(query.numel() * key.shape[-2] + query[..., 0].numel() * value[0, 0].numel())


_FORMULAS: dict[Any, Callable[[Given, object], int]] = {
    aten.mv: _vector,
    aten.addmv: _vector,
    aten.addmv_: _vector,
    aten.dot: _vector,
    aten.vdot: _vector,
    aten._int_mm: _matrices,
    aten._addmm_activation: _added_matrices,
    aten.addmm_: _added_matrices,
    aten.addbmm: _added_batches,
    aten.addbmm_: _added_batches,
    aten.baddbmm_: _added_batches,
    aten._trilinear: _trilinear,
    aten.mkldnn_rnn_layer: _recurrent,
    aten.conv_tbc: _time_batch_convolution,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}
