"""Exports of designs, and of what a fresh process computes with them."""

import subprocess
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import torch
import yaml

from dsx.analysis import Estimate
from dsx.conv.deploy import Choice
from dsx.export import bundle as exporting
from dsx.export.bundle import Bundle
from dsx.search.design.selection import SelectedDesign
from dsx.space import Design, SearchSpace, redesign

FILES = ["design.yaml", "manifest.json", "model.py", "weights.safetensors"]
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from model import load
network = load()
torch.manual_seed(0)
torch.save(network(torch.randn(5, 1, 8, 8, dtype=getattr(torch, sys.argv[2]))), sys.argv[3])
print(sorted(name for name in ("dsx", "numpy", "safetensors", "optuna") if name in sys.modules))
"""


def export(
    space: SearchSpace,
    design: Design,
    out: Path,
    *,
    weights: Mapping[str, torch.Tensor] | None = None,
    searched: Mapping[str, Estimate] | None = None,
    form_cache: MutableMapping[str, Choice] | None = None,
    study: str = "",
    trial: int | None = None,
    force: bool = False,
    exporter: str = "model_py",
) -> Bundle:
    """Export a design of a search."""
    choice = SelectedDesign(
        space=space,
        design=design,
        study=study,
        trial=trial,
        weights=weights,
        metrics=searched or {},
        form_cache={} if form_cache is None else form_cache,
    )
    return exporting.export(choice, out, force=force, exporter=exporter)


def run_alone(folder: Path, dtype: str, result: Path) -> list[str]:
    """Run an exported model with `python -I`, and return the modules that it imported."""
    command = [sys.executable, "-I", "-c", SCRIPT, str(folder), dtype, str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = yaml.safe_load(done.stdout)
    assert isinstance(found, list)
    return found


def check_alone(
    folder: Path,
    space: SearchSpace,
    design: Design,
    weights: Mapping[str, torch.Tensor],
    result: Path,
    tolerance: float,
) -> None:
    """Check that an exported model needs only torch and computes the outputs of its network."""
    dtype = getattr(torch, space.file.measure.dtype)
    assert set(run_alone(folder, space.file.measure.dtype, result)) <= {"numpy"}
    network = redesign(space.network(), design.changed)
    network.load_state_dict(weights)
    network.eval().to(dtype)
    torch.manual_seed(0)
    expected = network(torch.randn(5, 1, 8, 8, dtype=dtype))
    logits = torch.load(result)
    assert logits.dtype == dtype
    torch.testing.assert_close(logits, expected, atol=tolerance, rtol=tolerance)
