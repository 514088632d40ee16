"""Imports and work that the processes of tests need, done once in the fork server. Not a test.

It is imported only there, because its imports take seconds.
"""

import torch

import dsx.search.refining.refine  # noqa: F401
import tests.measure.crowd  # noqa: F401
from dsx.train import train
from tests.measure.candidates import SPECS, candidate

# Threads do not survive a fork; with one thread there are none.
torch.set_num_threads(1)
one = candidate(specs=SPECS)
train(one.network, one.splits.train, one.space.file.train)
