"""Networks as plain torch modules with nn.Conv2d, one file each, independent of the dials."""

from dsx.nets._base import Net, image_shape, network_builder

__all__ = ["Net", "image_shape", "network_builder"]
