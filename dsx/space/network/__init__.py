"""Static analysis of any network: its slots, excluded convolutions and operators."""

from dsx.space.network.analysis import analysis
from dsx.space.network.model import unwrap_logits
from dsx.space.network.operators import is_free

__all__ = ["analysis", "is_free", "unwrap_logits"]
