"""Reading of the golden files."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parents[1] / "golden"


def golden(name: str) -> dict[str, Tensor]:
    """Load one file of tests/golden, with every field that is not a string as a tensor."""
    with np.load(FOLDER / f"{name}.npz") as file:
        fields = {key: file[key] for key in file.files}
    string = np.dtype(str).kind
    return {key: torch.from_numpy(x) for key, x in fields.items() if x.dtype.kind != string}


def golden_names(pattern: str) -> list[str]:
    """Return the names of the golden files that match a pattern."""
    found = sorted(path.stem for path in FOLDER.glob(f"{pattern}.npz"))
    assert found, pattern
    return found
