"""The C interface of the library, as in source/interface.h and source/library.cpp.

This file uses only torch and the standard library, because it is copied into exported networks.
"""

import ctypes
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "hardswish": F.hardswish,
}
"""Activations that the kernel can apply, in the order of source/interface.h."""

ACTIVATIONS = tuple(FUNCTIONS)

SUFFIXES = {torch.float32: "f32", torch.float64: "f64"}
"""Number formats of the kernels, with the endings of the names of their functions."""

PACKED_ARGUMENTS = (
    "(Tensor input, Tensor weights, Tensor? bias, Tensor? residual, Tensor? depthwise, "
    "Tensor? depthwise_bias, Tensor? merge, Tensor? scale, Tensor plan, int[] geometry, "
    "str activation, str depthwise_activation) -> Tensor"
)
"""Arguments of the operators of torch for packed weights.

The counter of FLOPs finds the weights, the depthwise filters and the merge by their places.
"""

RESIDUAL, GEOMETRY = 3, 9
"""Places of two of these arguments."""


class LayerStructure(ctypes.Structure):
    """The constant part of a convolution."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("plan", "weights", "bias", "depthwise")),
        *((name, ctypes.c_void_p) for name in ("depthwise_bias", "merge", "scale")),
        *((name, ctypes.c_int32) for name in ("merged", "terms")),
        *((name, ctypes.c_int32) for name in ("activation", "depthwise_activation")),
        *((name, ctypes.c_int32) for name in ("producer", "super_tile")),
    )


def declare(library: ctypes.CDLL) -> None:
    """Declare the arguments of the functions of the library.

    Args:
        library: The loaded library.
    """
    library.dsx_instruction_sets.restype = ctypes.c_char_p
    library.dsx_instruction_set.restype = ctypes.c_char_p
    library.dsx_use.argtypes = [ctypes.c_char_p]
    library.dsx_buffer_bytes.restype = ctypes.c_int64
    library.dsx_release_buffers.restype = None
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    for suffix in SUFFIXES.values():
        for name in ("conv", "gradient"):
            function = getattr(library, f"dsx_{name}_{suffix}")
            function.argtypes = [pointer, *[number] * 3, *[pointer] * 3, ctypes.c_int]
        for name in ("pack", "unpack"):
            function = getattr(library, f"dsx_{name}_{suffix}")
            function.argtypes, function.restype = [pointer, pointer, number, pointer], None
