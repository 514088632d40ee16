"""What an export format is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from dsx.conv import Deployed


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """A format.

    Args:
        write: From the deployed network, a sample of its input, a headline and a folder to the
            files written there.
    """

    write: Callable[[Deployed, Tensor, str, Path], Sequence[Path]]
