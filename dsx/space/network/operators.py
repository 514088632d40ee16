"""Operators of torch: the multiply-adds of a call, and the operators that perform none."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from dsx.torch_private import (
    ADDMM_ACTIVATION,
    FLASH_ATTENTION_CPU,
    INT_MM,
    TRILINEAR,
    is_implicit_composite,
    named_arguments,
    operator_name,
)

aten = torch.ops.aten
# Operators that perform no multiply-adds by the convention of `flops`, in addition to views and to
# those that torch tags as elementwise or as reductions: they sum, compare, quantise, move data,
# create constants and random numbers, pool, normalise, resize, or compute a loss. Operators that
# are counted, or whose count is unknown, are not listed: matrix products, pairwise distances,
# Fourier transforms, decompositions. Composite operators and aliases are listed because fvcore
# reports them.
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
    "fake_quantize_per_tensor_affine", "fake_quantize_per_tensor_affine_cachemask",
    "fake_quantize_per_tensor_affine_cachemask_tensor_qparams", "fake_quantize_per_channel_affine",
    "fake_quantize_per_channel_affine_cachemask", "fake_quantize_learnable_per_tensor_affine",
    "fake_quantize_learnable_per_channel_affine", "fused_moving_avg_obs_fake_quant",
    "fused_moving_avg_obs_fq_helper", "fused_moving_avg_obs_fq_helper_functional",
    "choose_qparams_per_tensor", "choose_qparams_optimized", "quantize_per_tensor",
    "quantize_per_tensor_dynamic", "quantize_per_channel", "dequantize", "int_repr", "q_scale",
    "q_zero_point", "q_per_channel_axis", "q_per_channel_scales", "q_per_channel_zero_points",
    "qscheme", "saturate_weight_to_fp16", "make_per_tensor_quantized_tensor",
    "make_per_channel_quantized_tensor", "empty_quantized", "empty_affine_quantized",
    "empty_per_channel_affine_quantized", "quantized_batch_norm", "quantized_max_pool1d",
    "quantized_max_pool2d", "quantized_max_pool3d",
    "pad_circular", "pad_enum", "pad_sequence", "pack_sequence", "nested_to_padded_tensor",
    "to_padded_tensor", "concat", "concatenate", "hstack", "vstack", "dstack", "column_stack",
    "row_stack", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors", "meshgrid",
    "cartesian_prod", "combinations", "one_hot", "diag", "diagflat", "fill_diagonal", "fliplr",
    "flipud", "take_along_dim", "narrow_copy", "unsafe_masked_index_put_accumulate", "resize_as",
    "resize_output", "sum_to_size", "type_as", "lazy_clone", "argwhere", "nonzero_numpy",
    "cast_Byte", "cast_Char", "cast_Double", "cast_Float", "cast_Half", "cast_Int", "cast_Long",
    "cast_Short", "chalf", "tensor", "item", "is_nonzero", "size", "dim", "shape_as_tensor",
    "dim_arange", "reshape_from_tensor", "to_dense", "to_mkldnn", "mkldnn_reshape",
    "mkldnn_transpose", "mkldnn_reorder_conv2d_weight", "mkldnn_reorder_conv3d_weight",
    "binomial", "cauchy", "geometric", "log_normal", "normal_functional", "standard_gamma",
    "sample_dirichlet", "philox_normal", "philox_uniform", "sobol_engine_draw",
    "feature_alpha_dropout", "fused_dropout", "rrelu_with_noise_functional", "masked_scale",
    "bartlett_window", "blackman_window", "kaiser_window",
    "and", "or", "xor", "iand", "ior", "ixor", "rshift", "irshift", "absolute", "arccos", "arccosh",
    "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "divide", "fix", "greater",
    "greater_equal", "less", "less_equal", "multiply", "negative", "not_equal", "subtract",
    "add_relu", "degrees", "radians", "modf", "diff", "gradient", "trapezoid", "trapz",
    "cumulative_trapezoid", "addr", "ger", "cross", "linalg_cross", "vander", "linalg_vander",
    "foreach_powsum", "isclose",
    "nanmean", "quantile", "nanquantile", "msort", "cummax_helper", "cummin_helper", "histogram",
    "histogramdd", "histogramdd_bin_edges", "histogramdd_from_bin_cts",
    "histogramdd_from_bin_tensors", "dist", "pairwise_distance", "cosine_similarity", "native_norm",
    "norm_except_dim",
    "rms_norm", "fused_rms_norm", "cudnn_batch_norm", "miopen_batch_norm", "batch_norm_impl_index",
    "batch_norm_stats", "batch_norm_elemt", "batch_norm_update_stats", "batch_norm_gather_stats",
    "batch_norm_gather_stats_with_counts", "batch_norm_with_update_functional",
    "native_batch_norm_legit_functional", "native_channel_shuffle", "mkldnn_adaptive_avg_pool2d",
    "mkldnn_max_pool2d", "mkldnn_max_pool3d", "max_pool1d_with_indices", "upsample_lanczos2d_aa",
    "cudnn_grid_sampler", "cudnn_affine_grid_generator", "grid_sampler_2d_cpu_fallback",
    "l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "kl_div", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "nll_loss", "nll_loss_forward", "nll_loss2d",
    "nll_loss2d_forward", "nll_loss_nd", "cross_entropy_loss", "soft_margin_loss",
    "margin_ranking_loss", "hinge_embedding_loss", "poisson_nll_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_margin_loss_forward", "triplet_margin_loss",
    "cosine_embedding_loss",
    "aminmax", "unique_dim_consecutive", "pin_memory", "to_cpu", "isreal", "flatten_dense_tensors",
    "unflatten_dense_tensors", "padded_dense_to_jagged_forward", "jagged_to_padded_dense_forward",
    "philox_key_fold_in", "philox_key_split", "functional_assert_async",
    "functional_assert_scalar", "sym_constrain_range", "sym_constrain_range_for_size",
    "functional_sym_constrain_range", "functional_sym_constrain_range_for_size", "sym_size",
    "sym_numel", "sym_stride", "sym_storage_offset",
])  # fmt: skip

Given = Mapping[str, Any]
"""Arguments of a call by parameter name in the schema of the operator."""


def is_free(name: str) -> bool:
    """Check whether an operator performs no multiply-adds by the convention of `flops`.

    Args:
        name: Name of the operator with its namespace, such as "aten::relu_".

    Returns:
        Whether it is known to perform none; False for operators outside of the namespace `aten`.
    """
    namespace, _, own = name.partition("::")
    if namespace != "aten":
        return False
    # An operator on a list of tensors (`_foreach_relu`) is counted like the operator itself, and a
    # copying view (`permute_copy`) like the view.
    variants = (own, own.removeprefix("_foreach_"), own.removesuffix("_copy"))
    # The in-place variant (`relu_`) and a private variant are counted like the operator itself.
    return any(name.strip("_") in FREE or _is_elementwise(name) for name in variants)


def _is_elementwise(name: str) -> bool:
    """Check whether torch tags an operator as elementwise, special, a reduction or a view."""
    for candidate in (name, name.rstrip("_")):
        packet = getattr(aten, candidate, None)
        if packet is None:
            continue
        if candidate.startswith("special_"):  # torch.special: elementwise functions or reductions
            return True
        for overload in packet.overloads():
            operator = getattr(packet, overload)
            tags = {torch.Tag.pointwise, torch.Tag.reduction} & set(operator.tags)
            if tags or operator.is_view:
                return True
    return False


def multiply_adds(
    operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: object
) -> int | None:
    """Count the multiply-adds of one call of an operator; a multiply-add counts as one.

    Args:
        operator: Operator as passed by `intercept_operators`.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
        out: Result of the call.

    Returns:
        The multiply-adds of convolutions, linear layers and matrix products; 0 for an operator that
        performs none, None for an unknown operator.
    """
    packet = getattr(operator, "overloadpacket", operator)
    formula = _FORMULAS.get(packet)
    if formula is not None:
        return formula(named_arguments(operator, args, kwargs), out)
    count: Callable[..., int] | None = flop_registry.get(packet)
    if count is not None:
        # torch counts a multiply-add as two operations.
        return count(*args, **kwargs, out_val=out) // 2
    return 0 if is_free(operator_name(operator)) else None


def is_composite(operator: Any) -> bool:
    """Check whether an operator decomposes into others, which are counted instead.

    Args:
        operator: Operator as passed by `intercept_operators`.
    """
    return (
        is_implicit_composite(operator)
        and operator.overloadpacket not in _FORMULAS
        and operator.overloadpacket not in flop_registry
    )


def _vector(given: Given, out: object) -> int:
    """Count a matrix-vector product or a dot product: one per element of the first operand."""
    return int(given["mat" if "mat" in given else "self"].numel())


def _matrices(given: Given, out: object) -> int:
    """Count a matrix product: one per element of the first matrix and column of the second."""
    return int(given["self"].numel() * given["mat2"].shape[-1])


def _added_matrices(given: Given, out: object) -> int:
    return int(given["mat1"].numel() * given["mat2"].shape[-1])


def _added_batches(given: Given, out: object) -> int:
    return int(given["batch1"].numel() * given["batch2"].shape[-1])


def _trilinear(given: Given, out: object) -> int:
    """Count the products of two vectors with the weight of nn.Bilinear: one per weight and pair.

    The outer product of the vectors is elementwise, so that it is free.
    """
    sides: list[dict[int, int]] = []
    for tensor, new in (("i1", "expand1"), ("i2", "expand2"), ("i3", "expand3")):
        sizes, expanded = list(given[tensor].shape), list(given[new])
        for dimension in sorted(expanded):
            sizes.insert(dimension, 1)
        sides.append(dict(enumerate(sizes)))
    return math.prod(max(side[dimension] for side in sides) for dimension in sides[0])


def _recurrent(given: Given, out: object) -> int:
    """Count one layer and direction of nn.LSTM, nn.GRU or nn.RNN: one per weight and time step."""
    steps_and_batch = given["input"].shape[0] * given["input"].shape[1]
    return int(steps_and_batch * (given["weight0"].numel() + given["weight1"].numel()))


def _time_batch_convolution(given: Given, out: object) -> int:
    """Count a 1-d convolution of (time, batch, channels) with a weight (time, inputs, outputs)."""
    assert isinstance(out, Tensor)
    return out.shape[0] * out.shape[1] * int(given["weight"].numel())


def _attention(given: Given, out: object) -> int:
    """Count attention: queries by keys, and attention weights by values."""
    query, key, value = given["query"], given["key"], given["value"]
    return int(query.numel() * key.shape[-2] + query[..., 0].numel() * value[0, 0].numel())


_FORMULAS: dict[Any, Callable[[Given, object], int]] = {
    aten.mv: _vector,
    aten.addmv: _vector,
    aten.addmv_: _vector,
    aten.dot: _vector,
    aten.vdot: _vector,
    INT_MM: _matrices,
    ADDMM_ACTIVATION: _added_matrices,
    aten.addmm_: _added_matrices,
    aten.addbmm: _added_batches,
    aten.addbmm_: _added_batches,
    aten.baddbmm_: _added_batches,
    TRILINEAR: _trilinear,
    aten.mkldnn_rnn_layer: _recurrent,
    aten.conv_tbc: _time_batch_convolution,
    FLASH_ATTENTION_CPU: _attention,
}
