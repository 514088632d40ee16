"""VGG16: thirteen convolutions and three linear layers.

Source: K. Simonyan, A. Zisserman (arXiv 1409.1556).
"""

import functools

from dsx.nets._base import Net
from dsx.nets._vgg import Vgg

NET = Net(build=functools.partial(Vgg, (2, 2, 3, 3, 3)), image_shape=(3, 224, 224))
