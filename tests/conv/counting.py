"""Counting of multiply-adds with fvcore, as an independent reference."""

import warnings

from torch import Tensor, nn

with warnings.catch_warnings():
    # fvcore traces with torch.jit, which is deprecated.
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis


def counted(module: nn.Module, x: Tensor) -> int:
    """Count the multiply-adds of one forward pass in eval mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(module.eval(), x)
        return int(analysis.unsupported_ops_warnings(False).total())
