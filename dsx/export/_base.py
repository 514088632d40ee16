"""The contract of export formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from dsx.conv import Deployed


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """An export format.

    Args:
        write: Function of the deployed network, a sample of its input, a headline and a folder
            that writes files into the folder and returns their paths.
    """

    write: Callable[[Deployed, Tensor, str, Path], Sequence[Path]]
