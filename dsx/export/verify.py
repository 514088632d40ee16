"""Verification of an export in a fresh process."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dsx.activity import Kind, activity
from dsx.errors import WorkFailed
from dsx.export.place import writing_temporary
from dsx.files import scratch

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 0.1}
"""Largest difference of a logit, relative to the largest logit.

Folding of batch norms and another order of summation change the last digits, and deep networks
amplify that.
"""


def fresh_logits(folder: Path, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Classify images with an exported model in a fresh process that cannot import dsx.

    Args:
        folder: Folder of model.py and its weights.
        inputs: Image batches, (N, C, H, W), by name.

    Returns:
        Logits by the same names.

    Raises:
        WorkFailed: If the process fails.
    """
    with ExitStack() as stack:
        with writing_temporary():
            temporary = stack.enter_context(scratch())
            into, out = temporary / "inputs", temporary / "outputs"
            save_file({name: images.contiguous() for name, images in inputs.items()}, into)
        script = Path(__file__).with_name("_fresh.py")
        command = [sys.executable, "-IB", str(script), str(folder.resolve()), str(into), str(out)]
        with activity(Kind.VERIFYING_EXPORT):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise WorkFailed(f"the exported model does not run in a fresh process: {last}")
        return load_file(out)


def compare_logits(exported: Tensor, reference: Tensor) -> tuple[float, float]:
    """Compare the logits of the exported files with those of the trained network.

    Args:
        exported: Logits of the exported files, (N, classes).
        reference: Logits of the trained network, (N, classes).

    Returns:
        The largest difference relative to the largest logit, and the tolerance.

    Raises:
        WorkFailed: If the difference exceeds the tolerance.
    """
    difference = float((exported - reference).abs().max() / reference.abs().max())
    tolerance = TOLERANCES[exported.dtype]
    # Not `difference > tolerance`, since a NaN must fail, too.
    if not difference <= tolerance:
        raise WorkFailed(
            f"the outputs of the exported model differ by {difference:.2g} times the largest logit "
            f"(allowed: {tolerance:.2g})"
        )
    return difference, tolerance


def load_exported(folder: Path) -> nn.Module:
    """Load an exported model into this process.

    Args:
        folder: Folder of model.py and its weights.

    Returns:
        The network.
    """
    spec = importlib.util.spec_from_file_location("dsx_exported_model", folder / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    code = compile((folder / "model.py").read_text(), spec.origin or "", "exec")
    with _no_bytecode():
        exec(code, vars(module))
    # Modules draw random initial weights, before those of the file replace them.
    with torch.random.fork_rng():
        network = module.load()
    assert isinstance(network, nn.Module)
    return network


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Let Python write no cache of imported modules."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
