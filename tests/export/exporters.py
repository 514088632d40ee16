"""Exporters that do not write the given network."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dsx.conv import Deployed
from dsx.export import Exporter
from dsx.export.model_py import MODEL, WEIGHTS, write


def _changed(change: float) -> Exporter:
    def write_changed(
        deployed: Deployed, sample: Tensor, headline: str, folder: Path
    ) -> Sequence[Path]:
        files = write(deployed, sample, headline, folder)
        state = load_file(folder / WEIGHTS)
        last = sorted(state)[0]
        state[last] = state[last] + torch.tensor(change)
        save_file(state, folder / WEIGHTS)
        return files

    return Exporter(write=write_changed)


def _requiring_dsx(
    deployed: Deployed, sample: Tensor, headline: str, folder: Path
) -> Sequence[Path]:
    files = write(deployed, sample, headline, folder)
    text = (folder / MODEL).read_text()
    (folder / MODEL).write_text(re.sub("(?m)^import json$", "import dsx, json", text))
    return files


tampering, not_a_number = _changed(0.5), _changed(float("nan"))
requiring_dsx = Exporter(write=_requiring_dsx)
silent = Exporter(write=lambda deployed, sample, headline, folder: [])
