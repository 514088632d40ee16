"""Kernel shapes: which positions of the K x K kernel exist. One file per shape."""

from dsx.conv.sparsity.shapes._base import Shape, shape_and_number, shape_names

__all__ = ["Shape", "shape_and_number", "shape_names"]
