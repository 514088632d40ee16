"""The folder of the kernels in an export: sources, compilation and the module that calls them."""

import re
from pathlib import Path

import torch

from dsx.conv.native import BlockSparseConv2d, runtime_files

FOLDER = "kernels"
"""Name of the folder in an export."""

_BUILT = re.compile(r"libdsx-[0-9a-f]{8}-\w+-\w+\.so")


def write_kernels(folder: Path) -> list[Path]:
    """Write the kernels and what compiles and calls them.

    Args:
        folder: Existing folder of the export.

    Returns:
        The paths of the files.
    """
    written = []
    for name, content in runtime_files().items():
        written.append(folder / FOLDER / name)
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        written[-1].write_bytes(content)
    return written


def is_built(file: Path) -> bool:
    """Check whether a file of an export is the compiled library, which is built on first use.

    Args:
        file: Path of the file.
    """
    return file.parent.name == FOLDER and _BUILT.fullmatch(file.name) is not None


def native_call(module: BlockSparseConv2d) -> str:
    """Return the call that builds a convolution in an exported network.

    Args:
        module: The deployed convolution.

    Returns:
        Python code such as `kernels.BlockSparseConv2d(8, 16, (3, 3), ...)`.
    """
    geometry = module.geometry
    sizes = (
        geometry.in_channels, geometry.out_channels, geometry.kernel_size, geometry.stride,
        geometry.padding, geometry.dilation,
    )  # fmt: skip
    shapes = (f'"{name}": {list(tensor.shape)}' for name, tensor in module.named_buffers())
    arguments = [*map(repr, sizes), f"{{{', '.join(shapes)}}}"]
    for name in ("activation", "depthwise_activation"):
        value = getattr(module, name)
        arguments += [] if value == "none" else [f'{name}="{value}"']
    if module.weights.dtype is not torch.float32:
        arguments.append(f"dtype={module.weights.dtype}")
    return f"{FOLDER}.BlockSparseConv2d({', '.join(arguments)})"
