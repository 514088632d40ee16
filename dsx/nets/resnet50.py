"""ResNet-50: sixteen bottlenecks.

Source: K. He et al. (arXiv 1512.03385).
"""

import functools

from dsx.nets._base import Net
from dsx.nets._resnet import Bottleneck, ResNet

NET = Net(build=functools.partial(ResNet, Bottleneck, (3, 4, 6, 3)), image_shape=(3, 224, 224))
