"""The sparsity of a convolution: the kernel positions and input channels that it reads."""

from dsx.conv.sparsity.attributes import disagreement, normalise_attributes, sync_attributes
from dsx.conv.sparsity.geometry import Box, Geometry
from dsx.conv.sparsity.rigid import rigid_shapes
from dsx.conv.sparsity.window import ratio

__all__ = [
    "Box",
    "Geometry",
    "disagreement",
    "normalise_attributes",
    "ratio",
    "rigid_shapes",
    "sync_attributes",
]
