"""The operators for block-sparse convolutions on GPUs: the kernels, or cuDNN where it is faster.

In training, the first call with a plan and an input shape times the kernel and the dense
convolution of cuDNN, and all further calls use the faster one. In a deployed network the kernel is
always used, because `dsx.conv.deploy` selects each form by timing.
"""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.grad import conv2d_weight
from torch.utils.weak import WeakTensorKeyDictionary

from dsx.conv.native.gpu.launch import convolve, differentiate
from dsx.conv.native.gpu.lists import GpuLists, gpu_lists
from dsx.conv.native.interface import FUNCTIONS
from dsx.conv.sparsity.geometry import Geometry, is_symmetric, pad_or_crop
from dsx.conv.timing import Run, call_timer, default_clock, medians
from dsx.errors import Unsupported
from dsx.torch_private import version_of

DTYPES = (torch.float32, torch.float64)
"""Number formats of the kernels."""

CAPABILITY = (8, 0)
"""Lowest compute capability that Triton supports."""

_TIMING_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Known:
    """Lists and choices for a plan on one device.

    Args:
        lists: Lists of the kernels.
        faster: Whether the kernel is faster than the dense form, by operator, shape, number format
            and the precisions of float32 in kernel and dense form.
    """

    lists: GpuLists
    faster: dict[tuple[object, ...], bool] = field(default_factory=dict)


_KNOWN: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
"""Lists and choices for each plan, as long as its tensor exists."""


@functools.cache
def missing(dtype: torch.dtype, device: torch.device) -> Unsupported | None:
    """Check whether the kernels can compute with tensors of a kind.

    Args:
        dtype: Number format of the tensors.
        device: GPU of the tensors.

    Returns:
        The reason why not; None if they can.
    """
    if dtype not in DTYPES:
        given = str(dtype).removeprefix("torch.")
        return Unsupported(
            f"the kernels for GPUs compute in float32 and float64 only, not in {given}"
        )
    if not torch.cuda.is_available():
        return Unsupported("torch finds no NVIDIA GPU")
    if importlib.util.find_spec("triton") is None:
        return Unsupported(
            "the kernels for GPUs need triton, which is not installed; install dsx[triton]"
        )
    if (found := torch.cuda.get_device_capability(device)) < CAPABILITY:
        needed, given = (".".join(map(str, numbers)) for numbers in (CAPABILITY, found))
        return Unsupported(
            f"the kernels for GPUs need compute capability {needed}, and this GPU has {given}"
        )
    return None


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, plans: Sequence[Tensor], geometry: Geometry
) -> Tensor:
    """Compute a block-sparse convolution for training.

    Args:
        x: Batch of images, (B, Cin, H, W).
        weight: Weight as stored in the module.
        bias: Bias, (Cout,), or None.
        plans: Table and source of the plan, followed by any others.
        geometry: Geometry of the convolution.

    Returns:
        The output, (B, Cout, OH, OW).

    Raises:
        DsxError: If an image or the batch is too large.
    """
    known = known_of(plans[0], plans[1], False, x.device)
    return _fastest(
        known,
        ("conv2d", x.shape, x.dtype),
        lambda: convolve(x, weight, bias, known.lists, geometry),
        lambda: dense_conv2d(x, weight, bias, known.lists, geometry),
    )


def conv2d_packed(
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    residual: Tensor | None,
    depthwise: Tensor | None,
    depthwise_bias: Tensor | None,
    merge: Tensor | None,
    scale: Tensor | None,
    plan: Tensor,
    geometry: Geometry,
    activation: str,
    depthwise_activation: str,
) -> Tensor:
    """Compute a block-sparse convolution of a deployed network.

    Args:
        x: Batch of images, (B, Cin, H, W).
        weights: Packed weights.
        bias: Bias, (Cout,), or None.
        residual: Tensor that is added before the activation, (B, Cout, OH, OW) or of a shape that
            can be expanded to it, or None.
        depthwise: Filters of a depthwise convolution that is applied first, (Cin, 1, KH, KW), or
            None.
        depthwise_bias: Bias of the depthwise convolution, (Cin,), or None.
        merge: Outputs of the plan that each output adds up, (Cout, terms), or None if the outputs
            of the plan are those of the convolution.
        scale: Factor of each sum, (Cout,), or None.
        plan: Table of the plan.
        geometry: Geometry of the convolution, or of the depthwise one if there is one.
        activation: Activation of the output.
        depthwise_activation: Activation between the two convolutions.

    Returns:
        The output, (B, Cout, OH, OW).

    Raises:
        DsxError: If an image or the batch is too large.
    """
    lists = known_of(plan, None, depthwise is not None, x.device).lists
    if depthwise is not None:
        groups = geometry.in_channels
        x = geometry.convolve(x, depthwise, depthwise_bias, geometry.whole, groups)
        x = FUNCTIONS[depthwise_activation](x)
        geometry = replace(
            geometry, kernel_size=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1)
        )
    if merge is None:
        return convolve(x, weights, bias, lists, geometry, residual, activation)
    out = _merged(convolve(x, weights, None, lists, geometry), merge)
    out = out if scale is None else out * scale[:, None, None]
    out = out if bias is None else out + bias[:, None, None]
    return FUNCTIONS[activation](out if residual is None else out + residual)


def _merged(maps: Tensor, merge: Tensor) -> Tensor:
    first, *others = merge.to(maps.device).T
    out = maps.index_select(1, first)
    for term in others:
        out += maps.index_select(1, term)
    return out


def pack(weight: Tensor, source: Tensor) -> Tensor:
    """Pack the weights of a plan as for the compiled kernels.

    Args:
        weight: Weight of the convolution, of any shape.
        source: Index of each packed weight in the flattened weight; -1 for padding.

    Returns:
        The packed weights.
    """
    index = source.to(weight.device, torch.int64)
    return torch.where(index >= 0, weight.flatten()[index.clamp(min=0)], 0)


def weight_gradient(
    x: Tensor, gradient: Tensor, weight: Tensor, plans: Sequence[Tensor], geometry: Geometry
) -> Tensor:
    """Compute the gradient of the weights of a block-sparse convolution.

    Args:
        x: Input of the convolution, (B, Cin, H, W).
        gradient: Gradient of its output, (B, Cout, OH, OW).
        weight: Weight as stored in the module.
        plans: Table and source of the plan.
        geometry: Geometry of the convolution.

    Returns:
        The gradient, in the shape of the weight, zero at dead weights.

    Raises:
        DsxError: If an image or the batch is too large.
    """
    known = known_of(plans[0], plans[1], False, x.device)
    of_live = _fastest(
        known,
        ("weight_gradient", x.shape, x.dtype),
        lambda: differentiate(x, gradient, known.lists, geometry),
        lambda: dense_weight_gradient(x, gradient, known.lists, geometry),
    )
    of_all = weight.new_zeros(weight.numel()).index_copy_(0, known.lists.stored, of_live)
    return of_all.reshape(weight.shape)


def known_of(
    table: Tensor, source: Tensor | None, after_depthwise: bool, device: torch.device
) -> Known:
    """Return the lists and choices for a plan on a device; the first call makes the lists.

    Args:
        table: Table of the plan.
        source: Source of the plan, for stored weights; None for packed ones.
        after_depthwise: Whether a depthwise convolution comes first.
        device: The device.

    Raises:
        DsxError: If the plan has another format.
    """
    plan = table if source is None else source
    facts: dict[object, Known] = _KNOWN.setdefault(plan, {})  # type: ignore[no-untyped-call]
    versions = (version_of(table), version_of(plan))
    key = (device, after_depthwise, versions)
    if key not in facts:
        facts[key] = Known(lists=gpu_lists(table, source, after_depthwise, device))
    return facts[key]


def _fastest(
    known: Known,
    key: tuple[object, ...],
    kernel: Callable[[], Tensor],
    dense: Callable[[], Tensor],
) -> Tensor:
    """Call the faster one of two functions of the same result; the first call times both."""
    of_dense_form = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    key += (torch.backends.cuda.matmul.fp32_precision, of_dense_form)
    if key not in known.faster:
        of_kernel, of_dense = medians([kernel, dense], _TIMING_SECONDS, _time_call)
        known.faster[key] = of_kernel <= of_dense
    return kernel() if known.faster[key] else dense()


def _time_call(run: Run) -> float:
    """Time one call in seconds; the GPU is idle before and after it."""
    if not torch.cuda.is_available():
        return call_timer(default_clock())(run)
    torch.cuda.synchronize()
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    first.record()
    run()
    last.record()
    torch.cuda.synchronize()
    return float(first.elapsed_time(last)) / 1e3


def dense_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, lists: GpuLists, geometry: Geometry
) -> Tensor:
    """Compute a block-sparse convolution as a dense one.

    Args:
        x: Batch of images, (B, Cin, H, W).
        weight: Weight as stored in the module.
        bias: Bias, (Cout,), or None.
        lists: Lists of the kernel, which refer to the stored weight.
        geometry: Geometry of the convolution.

    Returns:
        The output, (B, Cout, OH, OW).
    """
    box = lists.box
    dense = weight.new_zeros(geometry.out_channels, geometry.in_channels, box.height, box.width)
    dense.view(-1).index_copy_(0, lists.dense, weight.flatten()[lists.stored])
    return geometry.convolve(x, dense, bias, box, 1)


def dense_weight_gradient(
    x: Tensor, gradient: Tensor, lists: GpuLists, geometry: Geometry
) -> Tensor:
    """Compute the gradient of the live weights as that of a dense convolution.

    Args:
        x: Input of the convolution, (B, Cin, H, W).
        gradient: Gradient of its output, (B, Cout, OH, OW).
        lists: Lists of the kernel.
        geometry: Geometry of the convolution.

    Returns:
        The gradient of each live weight, in the order of the lists.
    """
    box, pad = lists.box, geometry.box_padding(lists.box)
    padding = (pad[2], pad[0])
    if not is_symmetric(pad):
        x, padding = pad_or_crop(x, pad, "zeros"), (0, 0)
    shape = (geometry.out_channels, geometry.in_channels, box.height, box.width)
    dense: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
        x, shape, gradient, geometry.stride, padding, geometry.dilation
    )
    return dense.flatten()[lists.dense]
