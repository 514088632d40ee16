"""Deterministic fill that depends on parameter shapes only (name- and order-free)."""

import torch
from torch import Tensor, nn


def test_input(b: int) -> Tensor:
    """Give b images, (b, 3, 32, 32)."""
    n = b * 3 * 32 * 32
    return torch.sin(0.1 * torch.arange(n, dtype=torch.float64)).reshape(b, 3, 32, 32)


def _w(p: Tensor) -> None:
    a = torch.arange(p.numel(), dtype=torch.float64)
    fan = p.numel() / p.shape[0]
    wave = torch.sin(1 + 0.61803398875 * a * (1 + 0.001 * (a % 7)))
    p.data.copy_((2.0 * wave / fan**0.5).reshape(p.shape))


def _b(p: Tensor) -> None:
    p.data.copy_(0.1 * torch.sin(1 + torch.arange(p.numel(), dtype=torch.float64)).reshape(p.shape))


def fill(net: nn.Module) -> None:
    """Fill all parameters and BN statistics of a float64 network in place."""
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            assert m.running_mean is not None and m.running_var is not None
            a = torch.arange(m.num_features, dtype=torch.float64)
            m.weight.data.copy_(1 + 0.1 * torch.sin(a))
            m.bias.data.copy_(0.1 * torch.cos(a))
            m.running_mean.copy_(0.05 * torch.cos(2 * a))
            m.running_var.copy_(1 + 0.5 * torch.sin(3 * a) ** 2)
        else:
            for p in m.parameters(recurse=False):
                (_b if p.dim() == 1 else _w)(p)
