"""ResNet-34: sixteen basic blocks.

Source: K. He et al. (arXiv 1512.03385).
"""

import functools

from dsx.nets._base import Net
from dsx.nets._resnet import BasicBlock, ResNet

NET = Net(build=functools.partial(ResNet, BasicBlock, (3, 4, 6, 3)), image_shape=(3, 224, 224))
