"""Networks for digits that break what dsx takes for granted, each in one way."""

import random
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel


class Odd(nn.Module):
    """Two convolutions and a batch norm, with nothing odd yet."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x))
        return out


class Dropping(Odd):
    """Dropout that eval mode does not switch off."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(super().forward(x), 0.3)


class Noisy(Odd):
    """Noise on the image in any mode."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.randn_like(x))


class Chance(Odd):
    """Random numbers of Python in any mode."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * random.random()


class Seldom(Odd):
    """Random in every third call or so, in any mode."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if torch.rand(()) < 0.3 else 1)


class SeldomPython(Odd):
    """The same, by a generator of numpy."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if np.random.rand() < 0.3 else 1)


class Counting(Odd):
    """A count of calls that changes nothing before the fourth call."""

    last = 4.0

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.calls: Tensor

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * (2 if self.calls >= self.last else 1)


class CountingOnly(Counting):
    """A count of calls that changes nothing."""

    last = float("inf")


class Constant(Odd):
    """The image is not looked at."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.ones_like(x))


class ZeroHead(Odd):
    """A head that begins with zeros."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.head.weight)


class NoNumber(Odd):
    """NaN for any image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float("nan")


class Logarithm(Odd):
    """NaN for images that are not positive."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.log(x + 1e-3))


class AlwaysTraining(Odd):
    """A train() that ignores the mode."""

    def train(self, mode: bool = True) -> "AlwaysTraining":
        """Stay in train mode."""
        return super().train(True)


class BatchStatistics(Odd):
    """A batch norm that keeps no running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.body[1] = nn.BatchNorm2d(4, track_running_stats=False)


class Mixing(Odd):
    """Code that mixes the images of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0, keepdim=True))


class Forgetting(Odd):
    """A buffer that training changes and the state dict leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()), persistent=False)
        self.steps: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
        return super().forward(x) + self.steps * torch.arange(10)


class NoState(Odd):
    """A state_dict() that returns nothing."""

    def state_dict(self, *args: Any, **named: Any) -> Any:
        """Return nothing."""


class PartOfState(Odd):
    """A state_dict() that returns a part."""

    def state_dict(self, *args: Any, **named: Any) -> Any:
        """Return the head's."""
        return self.head.state_dict()


class Extra(Odd):
    """A dict alongside the tensors of the state dict, which changes in training."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        return super().forward(x) + self.steps

    def get_extra_state(self) -> Any:
        """Return the steps, in words whose length changes."""
        return {"steps": self.steps, "words": "x" * self.steps}

    def set_extra_state(self, state: Any) -> None:
        """Take over the steps."""
        self.steps = state["steps"]


class ExtraObject(Odd):
    """An object alongside the tensors of the state dict."""

    def get_extra_state(self) -> Any:
        """Return an object that only its own code can read."""
        return Odd

    def set_extra_state(self, state: Any) -> None:
        """Do nothing."""


class Complex(Odd):
    """A complex buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turn", torch.full((4,), 1j))
        self.turn: Tensor

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head((self.body(x) * self.turn * -1j).real)
        return out


class SparseGradient(Odd):
    """An embedding with sparse gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(2, 10, sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x) + self.table(torch.zeros(len(x), dtype=torch.long))
        return out


class SparseWeight(Odd):
    """A sparse parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.eye(4).to_sparse())


class Viewing(Odd):
    """A view that needs contiguous images."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body[:5](x).view(len(x), -1))
        return out


class FloatConstant(Odd):
    """A constant of float32 in the forward."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.full((1,), 0.5))


class NormedVector(Odd):
    """A batch norm of vectors, which one image alone cannot train."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.body(x)))
        return out


class Overwriting(Odd):
    """A forward that overwrites what its gradients need."""

    def forward(self, x: Tensor) -> Tensor:
        features = torch.sigmoid(self.body(x))
        out: Tensor = self.head(features)
        features.zero_()
        return out


def compiled() -> nn.Module:
    """Build a compiled network."""
    return torch.compile(Odd())  # type: ignore[return-value]


def parallel() -> nn.Module:
    """Build a network in DataParallel."""
    return nn.DataParallel(Odd())


def averaged() -> nn.Module:
    """Build an average of compiled networks."""
    return AveragedModel(compiled())


def parallel_part() -> nn.Module:
    """Build a network of which a part is in DataParallel."""
    network = Odd()
    network.body = nn.DataParallel(network.body)  # type: ignore[assignment]
    return network


def compiled_part() -> nn.Module:
    """Build a network of which a part is compiled."""
    network = Odd()
    network.body = torch.compile(network.body)  # type: ignore[assignment]
    return network


PROGRAM = torch.zeros(2, 1, 8, 8)


def exported() -> nn.Module:
    """Build a program of torch.export."""
    return torch.export.export(Odd().eval(), (PROGRAM,)).module()


class FullyShardedDataParallel(Odd):
    """Name of the wrapper of torch that needs several processes."""


def traced() -> nn.Module:
    """Build a network that torch.fx has written."""
    return torch.fx.symbolic_trace(Odd())


def scripted() -> nn.Module:
    """Build a network compiled by torch.jit."""
    script: nn.Module = torch.jit.script(Odd())
    return script


KEPT: list[nn.Module] = []
"""Networks that `kept` gives as they are."""


def kept() -> nn.Module:
    """Return a network that exists already."""
    return KEPT[-1]


def scripted_part() -> nn.Module:
    """Build a network of which a convolution is compiled by torch.jit."""
    network = Odd()
    network.body[3] = torch.jit.script(network.body[3])
    return network


class Surgery(nn.Module):
    """Two convolutions, the first or second of which is changed after it was made."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        width = 16
        if kind == "pruned":
            width, second = 8, self.second
            assert second.bias is not None
            second.weight = nn.Parameter(second.weight[:8].clone())
            second.bias = nn.Parameter(second.bias[:8].clone())
        self.first.weight = nn.Parameter(self.first.weight[:, :1].clone())
        if kind != "grey":
            self.first.in_channels = 1
        if kind == "wider":
            self.second.out_channels = 24
        if kind == "stride":
            self.second.stride = 2  # type: ignore[assignment]
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class Exits(Odd):
    """A network of which one part ends the program with the exit code of success.

    Args:
        where: The part: "forward", "training" (the forward in train mode), "hook", "train", "to",
            "state_dict", "copy" or "parameters".
    """

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        if where == "hook":
            self.head.register_forward_hook(lambda *given: sys.exit())

    def _end(self, *parts: str) -> None:
        if self.where in parts:
            sys.exit()

    def forward(self, x: Tensor) -> Tensor:
        self._end("forward", *["training"] * self.training)
        return super().forward(x)

    def train(self, mode: bool = True) -> "Exits":
        self._end("train")
        return super().train(mode)

    def to(self, *given: Any, **named: Any) -> Any:
        self._end("to")
        return super().to(*given, **named)

    def state_dict(self, *given: Any, **named: Any) -> Any:
        self._end("state_dict")
        return super().state_dict(*given, **named)

    def parameters(self, recurse: bool = True) -> Any:
        self._end("parameters")
        return super().parameters(recurse)

    def __getstate__(self) -> Any:
        self._end("copy")
        return vars(self)


def ends_in_training() -> nn.Module:
    """Build a network whose forward in train mode ends the program."""
    return Exits("training")


class OwnGenerator(Odd):
    """Draws from a generator that it keeps in an attribute.

    Args:
        kind: "python", "numpy" or "legacy" (numpy's RandomState).
        share: Share of the runs that differ.
    """

    def __init__(self, kind: str = "numpy", share: float = 0.5) -> None:
        super().__init__()
        kinds: dict[str, Any] = {
            "python": random.Random, "numpy": np.random.default_rng, "legacy": np.random.RandomState
        }  # fmt: skip
        self.held, self.share = {"generator": kinds[kind](0)}, share

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * (2.0 if self.held["generator"].random() < self.share else 1.0))


class Reseeding(Odd):
    """Draws the same random numbers in each run.

    Args:
        way: "global" or "own", the generator that it seeds.
    """

    def __init__(self, way: str = "global") -> None:
        super().__init__()
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "own":
            noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
        else:
            torch.manual_seed(0)
            noise = torch.rand_like(x)
        return super().forward(x + noise)


class SeldomDropping(Odd):
    """Dropout in eval mode, of hardly any channel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.dropout2d(x, 1e-9))


class IdleDropping(Odd):
    """Operators that draw random numbers in train mode only."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(F.rrelu(x, training=self.training), training=self.training)
        tokens = x.flatten(2)
        mixed = F.scaled_dot_product_attention(tokens, tokens, tokens, dropout_p=0.0)
        return super().forward(mixed.view_as(x))


class FunctionalBatchStatistics(Odd):
    """Calls a batch norm with the statistics of the batch, in eval mode too."""

    def forward(self, x: Tensor) -> Tensor:
        norm = self.body[1]
        assert isinstance(norm, nn.BatchNorm2d)
        x = F.batch_norm(
            self.body[0](x), norm.running_mean, norm.running_var, norm.weight, norm.bias, True
        )
        out: Tensor = self.head(self.body[2:](x))
        return out


class InstanceNormed(Odd):
    """Mixes images behind an instance norm, which does not."""

    def __init__(self) -> None:
        super().__init__()
        self.body[1] = nn.InstanceNorm2d(4, track_running_stats=True)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.instance_norm(x)) + x.mean()
