"""Block-sparse convolutions of an exported network, computed by compiled kernels in C++.

The kernels are compiled on first use, which takes about 13 seconds on two cores, into this
folder or, if it cannot be written, into the cache of the user. Only torch, the standard library
and a C++ compiler are required. The kernels run on the CPU, in float32 and float64.

dsx copies this file, those that it imports and the sources of the kernels into an export.
"""

import ctypes
import functools
import hashlib
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dsx.conv.native.compiling import (
    CANDIDATES,
    SOURCES,
    compile_library,
    find_compiler,
    sources,
    version,
)
from dsx.conv.native.interface import (
    ACTIVATIONS,
    FUNCTIONS,
    GEOMETRY,
    PACKED_ARGUMENTS,
    RESIDUAL,
    SUFFIXES,
    LayerStructure,
    declare,
)

MODULES = ("compiling.py", "interface.py")
"""Files that this one imports, which require nothing else of dsx."""

MAX_ELEMENTS = 2**31
TENSORS = ("plan", "weights", "bias", "depthwise", "depthwise_bias", "merge", "scale")
"""Names of the tensors of a convolution, in the order of `LayerStructure`."""


class BlockSparseConv2d(nn.Module):
    """A convolution over the live weights of a sparse kernel, for inference.

    A depthwise convolution before it, the addition of another tensor and an activation after it are
    computed in the same pass.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Rows and columns of the kernel; of the depthwise one, if there is one.
        stride: Vertical and horizontal stride.
        padding: Zeros to the left, right, top and bottom.
        dilation: Vertical and horizontal dilation.
        tensors: Shape of each tensor by name: `plan`, `weights`, and any of `bias`, `depthwise`,
            `depthwise_bias`, `merge` and `scale`.
        activation: Activation of the output: "none", "relu", "relu6" or "hardswish".
        depthwise_activation: Activation after the depthwise convolution.
        dtype: Number format.
    """

    plan: Tensor
    weights: Tensor
    bias: Tensor | None
    depthwise: Tensor | None
    depthwise_bias: Tensor | None
    merge: Tensor | None
    scale: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int, int, int],
        dilation: tuple[int, int],
        tensors: Mapping[str, Sequence[int]],
        activation: str = "none",
        depthwise_activation: str = "none",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        library()  # compiled now rather than in the first forward pass
        _define()
        self.geometry = [in_channels, out_channels, *kernel_size, *stride, *padding, *dilation]
        self.activation, self.depthwise_activation = activation, depthwise_activation
        for name in TENSORS:
            kind = torch.int32 if name in ("plan", "merge") else dtype
            shape = tensors.get(name)
            empty = None if shape is None else torch.empty(tuple(shape), dtype=kind)
            self.register_buffer(name, empty)

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).
            residual: Tensor that is added before the activation, (B, Cout, OH, OW) or a shape that
                torch can add, or None.

        Returns:
            The output, (B, Cout, OH, OW).

        Raises:
            RuntimeError: If a gradient is required, there is not enough memory, or the plan is that
                of other kernels.
            ValueError: If a tensor has another shape, number format or device, or is too large.
        """
        needs_gradient = input.requires_grad or (residual is not None and residual.requires_grad)
        if needs_gradient and torch.is_grad_enabled():
            raise RuntimeError("the convolution is for inference only: it has no gradient")
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        traced = torch.compiler.is_compiling() or tracing
        if traced or type(input) is not Tensor:
            out: Tensor = getattr(torch.ops.dsx_exported, _OPERATOR)(
                input, self.weights, self.bias, residual, self.depthwise, self.depthwise_bias,
                self.merge, self.scale, self.plan, self.geometry, self.activation,
                self.depthwise_activation,
            )  # fmt: skip
            return out
        tensors = tuple(self._buffers.values())
        # By address, because share_memory() and others move a tensor.
        addresses = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
        known, before, layer = _LAYERS.get(self, (tensors, None, None))
        if before != addresses or any(a is not b for a, b in zip(known, tensors, strict=True)):
            layer = _structure(tensors, self.activation, self.depthwise_activation)
            _LAYERS[self] = tensors, addresses, layer
        return _compute(layer, input, residual, self.weights.dtype, self.geometry)


# Not an attribute of the module, because a copy of the module needs a structure of its own.
_LAYERS: "WeakKeyDictionary[BlockSparseConv2d, tuple[Any, Any, Any]]" = WeakKeyDictionary()


def runtime_files() -> dict[str, bytes]:
    """Return this package of an export: Python files and the sources of the kernels.

    Returns:
        Content by the path of the file in the package.
    """
    here = Path(__file__)
    files = {"__init__.py": here, **{name: here.with_name(name) for name in MODULES}}
    files |= {f"{SOURCES.name}/{source.name}": source for source in sources()}
    # The exported files are a package of their own.
    within = b"from dsx.conv.native.", b"from ."
    return {name: file.read_bytes().replace(*within) for name, file in files.items()}


def library_name() -> str:
    """Return the name of the library, which depends on the sources and on the platform."""
    return f"libdsx-{version()}-{sys.platform}-{platform.machine()}.so"


@functools.cache
def library() -> ctypes.CDLL:
    """Load the kernels, after compiling them on first use.

    Returns:
        The library.

    Raises:
        RuntimeError: If they are not compiled yet, and there is no C++ compiler.
        CompilationFailed: If they are not compiled yet, and the compiler fails.
        OSError: If the library cannot be loaded.
    """
    name = library_name()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dsx"
    places = [Path(__file__).resolve().parent, cache]
    found = next((place / name for place in places if (place / name).is_file()), None)
    path = found or compiled(name, places)
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise OSError(f"{error}; delete {path} to compile it again") from error
    declare(loaded)
    return loaded


def compiled(name: str, places: Sequence[Path]) -> Path:
    """Compile the library.

    Args:
        name: Name of the library.
        places: Folders; the first one that can be written is used, and the last one is created.

    Returns:
        The path of the library.

    Raises:
        RuntimeError: If there is no C++ compiler.
        CompilationFailed: If the compiler fails.
    """
    compiler = find_compiler()
    if compiler is None:
        tried = os.environ.get("CXX") or ", ".join(CANDIDATES)
        raise RuntimeError(
            f"this network needs a C++ compiler on first use, and none runs (tried: {tried}): "
            "install one, or name it in the environment variable CXX"
        )
    place = next((place for place in places[:-1] if os.access(place, os.W_OK)), places[-1])
    place.mkdir(parents=True, exist_ok=True)
    sys.stderr.write(f"compiling the kernels into {place} (once, about 13 seconds)\n")
    compile_library(place / name, compiler)
    return place / name


def _structure(tensors: Sequence[Tensor | None], *activations: str) -> LayerStructure:
    """Return the structure of a layer, which is valid as long as the tensors are."""
    weights, merge = tensors[1], tensors[5]
    assert weights is not None
    if weights.dtype not in SUFFIXES or any(t is not None and not t.is_cpu for t in tensors):
        given = f"{weights.dtype} on {weights.device}"
        raise ValueError(f"the weights are {given} (allowed: float32 and float64 on the CPU)")
    pointers = (None if tensor is None else tensor.data_ptr() for tensor in tensors)
    numbers = [*((0, 0) if merge is None else merge.shape), *map(ACTIVATIONS.index, activations)]
    return LayerStructure(*pointers, *numbers, 0, 0)


def _compute(
    layer: LayerStructure,
    x: Tensor,
    residual: Tensor | None,
    dtype: torch.dtype,
    geometry: Sequence[int],
) -> Tensor:
    shape = _output_shape(x, geometry)
    x = _readable(x, dtype)
    residual = None if residual is None else _readable(residual, dtype)
    if residual is not None and residual.shape != shape:
        # The kernel reads a residual of the shape of the output only.
        alone = LayerStructure.from_buffer_copy(layer)
        alone.activation = ACTIVATIONS.index("none")
        activation = FUNCTIONS[ACTIVATIONS[layer.activation]]
        return activation(_compute(alone, x, None, dtype, geometry) + residual)
    output = x.new_empty(shape)
    count, _, height, width = x.shape
    status = 0
    if count:
        status = getattr(library(), f"dsx_conv_{SUFFIXES[dtype]}")(
            ctypes.byref(layer), count, height, width, x.data_ptr(),
            None if residual is None else residual.data_ptr(), output.data_ptr(),
            torch.get_num_threads(),
        )  # fmt: skip
    if status == -3:
        raise RuntimeError("the plan in the weights is that of other kernels; export again")
    if status != 0:
        problem = "not enough memory" if status != -1 else "unsupported geometry"
        raise RuntimeError(f"{problem} for an input of shape {tuple(x.shape)}")
    return output


def _output_shape(x: Tensor, geometry: Sequence[int]) -> tuple[int, int, int, int]:
    inputs, outputs, *others = geometry
    kernel, stride, dilation = others[:2], others[2:4], others[8:]
    padding = others[6] + others[7], others[4] + others[5]
    if x.dim() != 4 or x.shape[1] != inputs:
        raise ValueError(f"input of shape {tuple(x.shape)} (allowed: (B, {inputs}, H, W))")
    rows, columns = (
        (x.shape[2 + i] + padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i in (0, 1)
    )
    if rows < 1 or columns < 1:
        raise ValueError(f"images of {x.shape[2]} x {x.shape[3]} are smaller than the kernel")
    shape = x.shape[0], outputs, rows, columns
    _check_size(shape)
    return shape


def _readable(x: Tensor, dtype: torch.dtype) -> Tensor:
    if x.dtype != dtype or not x.is_cpu:
        raise ValueError(f"the input is {x.dtype} on {x.device} (allowed: {dtype} on the CPU)")
    _check_size(x.shape)
    return x.contiguous()


def _check_size(shape: Sequence[int]) -> None:
    if math.prod(shape) >= MAX_ELEMENTS:
        raise ValueError(f"a tensor of shape {tuple(shape)} is too large; use a smaller batch")


def _operator(
    x: Tensor, weights: Tensor, bias: Tensor | None, residual: Tensor | None, *others: Any
) -> Tensor:
    *tensors, plan, geometry, activation, depthwise_activation = others
    layer = _structure((plan, weights, bias, *tensors), activation, depthwise_activation)
    return _compute(layer, x, residual, weights.dtype, geometry)


_NAMESPACE = "dsx_exported"
_CONTENT = hashlib.sha256(b"".join(runtime_files().values())).hexdigest()
_OPERATOR = f"block_sparse_conv2d_{_CONTENT[:8]}"
EXPORTED_OPERATOR = f"{_NAMESPACE}::{_OPERATOR}"
"""Operator of exported networks, which must not depend on that of dsx.

One process may load exports of several versions, each of which has an operator of its own.
"""


def _fake(*arguments: Any) -> Tensor:
    """Return an empty output of the operator."""
    x, residual = arguments[0], arguments[RESIDUAL]
    shape = _output_shape(x, arguments[GEOMETRY])
    return x.new_empty(shape if residual is None else torch.broadcast_shapes(shape, residual.shape))


@functools.cache
def _define() -> torch.library.Library | None:
    """Define the operator that compilers see, unless an export of this version has defined it.

    Returns:
        The library of the operator, which exists as long as this object.
    """
    if hasattr(torch.ops.dsx_exported, _OPERATOR):
        return None
    defined = torch.library.Library(_NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]
    defined.define(f"{_OPERATOR}{PACKED_ARGUMENTS}")  # type: ignore[no-untyped-call]
    defined.impl(_OPERATOR, _operator, "CPU")  # type: ignore[no-untyped-call]
    torch.library.register_fake(EXPORTED_OPERATOR, _fake, lib=defined)
    return defined
