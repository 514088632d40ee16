"""Networks for digits, each of which violates one assumption of dsx."""

import random
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel


class Odd(nn.Module):
    """Two convolutions and a batch norm; the base class of all networks below."""

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
    """Dropout that is active in eval mode."""

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
    """Output that is random in about every third call, in any mode."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if torch.rand(()) < 0.3 else 1)


class SeldomPython(Odd):
    """Output that is random in some calls, by a generator of numpy."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if np.random.rand() < 0.3 else 1)


class Counting(Odd):
    """Count of calls that changes the output from the fourth call."""

    last = 4.0

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.calls: Tensor

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * (2 if self.calls >= self.last else 1)


class CountingOnly(Counting):
    """Count of calls that does not change the output."""

    last = float("inf")


class Constant(Odd):
    """Output that does not depend on the image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.ones_like(x))


class ZeroHead(Odd):
    """Head that is initialised with zeros."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.head.weight)


class NoNumber(Odd):
    """NaN for all images."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float("nan")


class Logarithm(Odd):
    """NaN for images with negative values."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.log(x + 1e-3))


class AlwaysTraining(Odd):
    """A train() that ignores the mode."""

    def train(self, mode: bool = True) -> "AlwaysTraining":
        """Set train mode."""
        return super().train(True)


class BatchStatistics(Odd):
    """Batch norm without running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.body[1] = nn.BatchNorm2d(4, track_running_stats=False)


class Mixing(Odd):
    """Code that combines the images of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0, keepdim=True))


class Forgetting(Odd):
    """Buffer that training changes and that is not in the state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()), persistent=False)
        self.steps: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
        return super().forward(x) + self.steps * torch.arange(10)


class NoState(Odd):
    """A state_dict() that returns None."""

    def state_dict(self, *args: Any, **named: Any) -> Any:
        """Return None."""


class PartOfState(Odd):
    """A state_dict() that returns only a part of the weights."""

    def state_dict(self, *args: Any, **named: Any) -> Any:
        """Return the weights of the head."""
        return self.head.state_dict()


class Extra(Odd):
    """Dict in the state dict that changes in training."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        return super().forward(x) + self.steps

    def get_extra_state(self) -> Any:
        """Return the number of steps as text of varying length."""
        return {"steps": self.steps, "words": "x" * self.steps}

    def set_extra_state(self, state: Any) -> None:
        """Set the number of steps."""
        self.steps = state["steps"]


class ExtraObject(Odd):
    """Object of a user-defined kind in the state dict."""

    def get_extra_state(self) -> Any:
        """Return an object that cannot be loaded safely."""
        return Odd

    def set_extra_state(self, state: Any) -> None:
        """Ignore the object."""


class Complex(Odd):
    """Complex buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turn", torch.full((4,), 1j))
        self.turn: Tensor

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head((self.body(x) * self.turn * -1j).real)
        return out


class SparseGradient(Odd):
    """Embedding with sparse gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(2, 10, sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x) + self.table(torch.zeros(len(x), dtype=torch.long))
        return out


class SparseWeight(Odd):
    """Sparse parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.eye(4).to_sparse())


class Viewing(Odd):
    """View that requires contiguous images."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body[:5](x).view(len(x), -1))
        return out


class FloatConstant(Odd):
    """A float32 constant in the forward."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.full((1,), 0.5))


class NormedVector(Odd):
    """Batch norm of vectors, which cannot be trained with a single image."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.body(x)))
        return out


class Overwriting(Odd):
    """In-place operation on a tensor that is required for the gradients."""

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
    """Build an averaged model of a compiled network."""
    return AveragedModel(compiled())


def parallel_part() -> nn.Module:
    """Build a network with a module in DataParallel."""
    network = Odd()
    network.body = nn.DataParallel(network.body)  # type: ignore[assignment]
    return network


def compiled_part() -> nn.Module:
    """Build a network with a compiled module."""
    network = Odd()
    network.body = torch.compile(network.body)  # type: ignore[assignment]
    return network


PROGRAM = torch.zeros(2, 1, 8, 8)


def exported() -> nn.Module:
    """Build a program of torch.export."""
    return torch.export.export(Odd().eval(), (PROGRAM,)).module()


class FullyShardedDataParallel(Odd):
    """Network with the class name of a wrapper of torch that requires several processes."""


def traced() -> nn.Module:
    """Build a network with torch.fx."""
    return torch.fx.symbolic_trace(Odd())


def scripted() -> nn.Module:
    """Build a network compiled by torch.jit."""
    script: nn.Module = torch.jit.script(Odd())
    return script


KEPT: list[nn.Module] = []
"""Networks that `kept` returns unchanged."""


def kept() -> nn.Module:
    """Return an existing network."""
    return KEPT[-1]


def scripted_part() -> nn.Module:
    """Build a network with a convolution compiled by torch.jit."""
    network = Odd()
    network.body[3] = torch.jit.script(network.body[3])
    return network


class Surgery(nn.Module):
    """Two convolutions, the weight or attributes of which were changed after construction."""

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
    """Network that exits from Python with status 0 in one of its methods.

    Args:
        where: Method: "forward", "training" (the forward in train mode), "hook", "train", "to",
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
    """Build a network whose forward in train mode exits from Python."""
    return Exits("training")


class OwnGenerator(Odd):
    """Network that draws from a generator in an attribute.

    Args:
        kind: "python", "numpy" or "legacy" (RandomState of numpy).
        share: Fraction of the runs whose output differs.
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
    """Network that draws the same random numbers in each run.

    Args:
        way: Generator that is seeded: "global" or "own".
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
    """Dropout in eval mode with a very low probability."""

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
    """Call of F.batch_norm with the statistics of the batch in eval mode."""

    def forward(self, x: Tensor) -> Tensor:
        norm = self.body[1]
        assert isinstance(norm, nn.BatchNorm2d)
        x = F.batch_norm(
            self.body[0](x), norm.running_mean, norm.running_var, norm.weight, norm.bias, True
        )
        out: Tensor = self.head(self.body[2:](x))
        return out


class InstanceNormed(Odd):
    """Code that combines images, after an instance norm, which does not."""

    def __init__(self) -> None:
        super().__init__()
        self.body[1] = nn.InstanceNorm2d(4, track_running_stats=True)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.instance_norm(x)) + x.mean()
