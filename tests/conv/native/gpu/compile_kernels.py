"""Compiles the kernels for the architectures of several GPUs, without a GPU.

Run with `python -m tests.conv.native.gpu.compile_kernels`.
"""

import itertools
import os
from collections.abc import Iterator
from typing import Any

os.environ.pop("TRITON_INTERPRET", None)

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from dsx.conv.native.gpu import kernels

CAPABILITIES = (80, 90, 120)
VALUES = {
    "float32": {"x", "weights", "bias", "residual", "y", "gradient", "partial"},
    "int32": {"rows", "first", "block_of", "shifts", "channels", "index"},
}
"""Pointers by the type of their values in a kernel for float32."""

SIZES = (
    "blocks", "pixels", "out_pixels", "out_width", "height", "width", "inputs", "outputs", "chunks",
    "tiles",
)  # fmt: skip
"""Sizes; Triton compiles 1 as a constant."""


def constants(kernel: Any, dtype: str, precision: str, tile: int) -> dict[str, Any]:
    """Return the constants of a kernel."""
    return {
        "STRIDE_H": 1,
        "STRIDE_W": 2,
        "PRECISION": precision,
        "ROWS": tile,
        "CHUNK": tile,
        "PIXELS": 64 if dtype == "fp32" else 32,
        **({"ACTIVATION": "hardswish"} if kernel is kernels.convolve else {}),
    }


def variants() -> Iterator[tuple[Any, str, dict[str, Any]]]:
    """Yield kernels, number formats and constants."""
    both = (kernels.convolve, kernels.differentiate)
    for kernel, (dtype, precision), tile in itertools.product(
        both, [("fp32", "ieee"), ("fp32", "tf32"), ("fp64", "ieee")], (16, 32)
    ):
        yield kernel, dtype, constants(kernel, dtype, precision, tile)
    for kernel in both:
        fixed = constants(kernel, "fp32", "ieee", 16)
        yield kernel, "fp32", fixed | {name: 1 for name in SIZES if name in kernel.arg_names}
    absent = {"bias": None, "residual": None, "ACTIVATION": "none"}
    for precision in ("ieee", "tf32"):
        fixed = constants(kernels.convolve, "fp32", precision, 32)
        yield kernels.convolve, "fp32", fixed | absent


def compile_kernel(kernel: Any, dtype: str, fixed: dict[str, Any], capability: int) -> None:
    """Compile one variant for one architecture."""
    kinds = dict.fromkeys(VALUES["float32"], f"*{dtype}") | dict.fromkeys(VALUES["int32"], "*i32")
    signature = {
        name: "constexpr" if name in fixed else kinds.get(name, "i32") for name in kernel.arg_names
    }
    values = {(kernel.arg_names.index(name),): value for name, value in fixed.items()}
    source = ASTSource(kernel, signature=signature, constexprs=values)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    # Every GPU allows a program this much memory.
    assert compiled.metadata.shared <= 48 * 1024


def main() -> None:
    """Compile every variant for every architecture, and print their number."""
    number = 0
    for (kernel, dtype, fixed), capability in itertools.product(variants(), CAPABILITIES):
        compile_kernel(kernel, dtype, fixed, capability)
        number += 1
    print(f"{number} kernels")


if __name__ == "__main__":
    main()
