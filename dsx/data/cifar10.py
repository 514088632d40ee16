"""CIFAR-10: 10 classes of 6,000 small colour photos; 50,000 for training and 10,000 for test.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto
(2009), https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from dsx.data._cifar import cifar
from dsx.data._cifar_files import CIFAR10

DATASET = cifar(CIFAR10)
