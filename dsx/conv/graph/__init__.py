"""Graphs of traced networks, and the batch norms that can be folded in them."""

from dsx.conv.graph.norms import normed, untouchable
from dsx.conv.graph.swap import swap
from dsx.conv.graph.tracing import Traced, follow

__all__ = ["Traced", "follow", "normed", "swap", "untouchable"]
