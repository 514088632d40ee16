"""Networks with problems that networks of users may have."""

import math
from pathlib import Path

import torch
from torch import Tensor

from dsx.nets.small_cnn import SmallCnn


class Fragile(SmallCnn):
    """A network that fails in training, by an error or by a loss of NaN.

    Args:
        error: Kind of the failure: "nan", the name of an error, or "long" for a long message.
        always: Whether the baseline fails too, not only redesigned networks.
    """

    def __init__(self, error: str, always: bool = False) -> None:
        super().__init__(width=4)
        self.error = error
        self.always = always

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        if not self.training or not (self.always or self._redesigned()):
            return logits
        if self.error == "nan":
            return logits * math.nan
        if self.error == "long":
            raise KeyError("x" * 30_000)
        errors = {"RuntimeError": RuntimeError, "KeyError": KeyError, "MemoryError": MemoryError}
        raise errors[self.error]("out of memory:\nno 2 GiB left")

    def _redesigned(self) -> bool:
        return any(type(module).__module__.startswith("dsx.conv") for module in self.modules())


class Constant(SmallCnn):
    """A network that predicts the same class for every image, even after training."""

    def __init__(self) -> None:
        super().__init__(width=4)

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits.sigmoid() / 2 + (torch.arange(logits.shape[1]) == 3)


class Greedy(SmallCnn):
    """A network that allocates more memory than any machine has.

    Args:
        when: "built", "run" (without gradients) or "trained".
        how: "python" or "torch".
    """

    def __init__(self, when: str, how: str) -> None:
        super().__init__(width=4)
        self.when, self.how = when, how
        self._ask("built")

    def forward(self, x: Tensor) -> Tensor:
        self._ask("trained" if self.training else "run")
        return super().forward(x)

    def _ask(self, when: str) -> None:
        if when == self.when:
            _ = bytearray(2**50) if self.how == "python" else torch.empty(2**50)


class Breaking(SmallCnn):
    """A network that fails in its fifth step if a file exists.

    Args:
        file: Path of the file.
    """

    def __init__(self, file: str) -> None:
        super().__init__(width=4)
        self.file = Path(file)
        self.steps = 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps == 5 and self.file.exists():
            raise KeyError("broken")
        return super().forward(x)


class Transforming(SmallCnn):
    """A network with a Fourier transform, whose FLOPs are not counted."""

    def __init__(self) -> None:
        super().__init__(width=4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x) + torch.fft.rfft(x.flatten(1)).real.mean(1, keepdim=True)
        return out
