"""What other processes of tests need, made ready in the one that they are forked from. Not a test.

It is imported there and nowhere else. What it imports on its way takes seconds.
"""

import torch

import dsx.search.refine  # noqa: F401
import tests.measure.crowd  # noqa: F401
from dsx.train import train
from tests.measure.candidates import SPECS, candidate

# Threads do not survive a fork; with one thread there are none.
torch.set_num_threads(1)
one = candidate(specs=SPECS)
train(one.network, one.splits.train, one.space.file.train)
