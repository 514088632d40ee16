"""Networks: plain torch modules made of nn.Conv2d, one file each. They know nothing of dials."""

from dsx.nets._base import Net, image_shape, network_builder

__all__ = ["Net", "image_shape", "network_builder"]
