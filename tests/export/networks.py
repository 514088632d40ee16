"""Networks that are difficult to export."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Branching(nn.Module):
    """Branches on its input, which torch.fx cannot trace."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if x.sum() > 0:
            x = x * 2
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class Awkward(nn.Module):
    """Colliding names, modules without arguments, functions, constants, and a shared module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ModuleList([nn.Conv2d(1, 4, 3, padding=1, bias=False)])
        self.conv_0 = nn.Conv2d(4, 4, 3, padding=1)
        self.add = nn.ModuleDict({"module": nn.Conv2d(4, 4, 1)})
        self.nothing = nn.Identity()
        self.scale = nn.Parameter(torch.full((1, 4, 1, 1), 0.5))
        self.register_buffer("shift", torch.ones(1, 4, 1, 1), persistent=False)
        self.clip = nn.Hardtanh(-1.0, float("inf"))
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv[0](x))
        x = self.nothing(self.conv_0(self.conv_0(x)) * self.scale + self.shift)
        y = self.clip(self.add["module"](x)).masked_fill(x < 0, float("-inf"))
        y = torch.where(torch.isinf(y), torch.zeros_like(y), y)
        y = F.interpolate(F.avg_pool2d(y, 2), scale_factor=2.0, mode="nearest")
        out: Tensor = self.head(torch.cat([x.amax((2, 3)), y.mean(dim=(2, 3))], 1))
        return out


class Foreign(nn.Module):
    """Contains a module whose arguments cannot be determined."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.rows = nn.LSTM(8, 10, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.rows(self.conv(x).mean(1))[0][:, -1]
        return out


class Transformed(nn.Module):
    """Uses an operator that cannot be counted."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).amax(2).flatten(1)
        out: Tensor = self.head(torch.fft.fft(x, dim=1).real)
        return out
