"""Static analysis of any network: its slots, excluded convolutions and operators."""

from dsx.space.network.analysis import analyse_network
from dsx.space.network.model import unwrap_logits
from dsx.space.network.operators import is_free

__all__ = ["analyse_network", "is_free", "unwrap_logits"]
