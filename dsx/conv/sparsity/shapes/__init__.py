"""Kernel shapes, which define the positions that exist in a K x K kernel; one file per shape."""

from dsx.conv.sparsity.shapes._base import Shape, shape_and_number, shape_names

__all__ = ["Shape", "shape_and_number", "shape_names"]
