"""VGG19: sixteen convolutions and three linear layers.

Source: K. Simonyan, A. Zisserman (arXiv 1409.1556).
"""

import functools

from dsx.nets._base import Net
from dsx.nets._vgg import Vgg

NET = Net(build=functools.partial(Vgg, (2, 2, 4, 4, 4)), image_shape=(3, 224, 224))
