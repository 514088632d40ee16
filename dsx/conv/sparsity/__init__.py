"""Sparsity: the kernel positions and input channels that a convolution reads."""

from dsx.conv.sparsity.attributes import correct, disagreement, tidy
from dsx.conv.sparsity.geometry import Box, Geometry
from dsx.conv.sparsity.rigid import rigid_shapes
from dsx.conv.sparsity.window import ratio

__all__ = ["Box", "Geometry", "correct", "disagreement", "ratio", "rigid_shapes", "tidy"]
