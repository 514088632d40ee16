"""Graphs of traced networks, and the batch norms in them that can be folded."""

from dsx.conv.graph.norms import convs_before_norms, protected_modules
from dsx.conv.graph.swap import swap
from dsx.conv.graph.tracing import Traced, follow

__all__ = ["Traced", "convs_before_norms", "follow", "protected_modules", "swap"]
