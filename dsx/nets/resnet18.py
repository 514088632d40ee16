"""ResNet-18: eight basic blocks.

Source: K. He et al. (arXiv 1512.03385).
"""

import functools

from dsx.nets._base import Net
from dsx.nets._resnet import BasicBlock, ResNet

NET = Net(build=functools.partial(ResNet, BasicBlock, (2, 2, 2, 2)), image_shape=(3, 224, 224))
