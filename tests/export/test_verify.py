"""Detection of exports that differ from the searched network."""

from pathlib import Path

import pytest
import torch

from dsx.conv import deploy
from dsx.errors import WorkFailed
from dsx.export import verify
from dsx.export.model_py import write
from dsx.measure.candidate import Exported
from dsx.measure.metrics.latency_ms import read_exported
from dsx.nets.small_cnn import SmallCnn
from tests.measure.candidates import candidate
from tests.measure.facts import timing

LOGITS = torch.tensor([[1.0, -4.0], [2.0, 0.0]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    sample = torch.randn(2, 1, 8, 8)
    write(deploy(SmallCnn(width=4), sample), sample, "The baseline.", folder)
    return folder


@pytest.mark.parametrize("dtype", verify.TOLERANCES)
def test_differences_are_relative_to_the_largest_logit(dtype: torch.dtype) -> None:
    tolerance = verify.TOLERANCES[dtype]
    logits = LOGITS.to(dtype)
    assert verify.compare_logits(logits, logits) == (0.0, tolerance)
    off = (LOGITS.double() + 8 * tolerance).to(dtype)
    with pytest.raises(WorkFailed, match=r"differ by .* times the largest logit"):
        verify.compare_logits(off, logits)
    near = (LOGITS.double() + 2 * tolerance).to(dtype)
    difference, _ = verify.compare_logits(near, logits)
    assert difference == pytest.approx(0.5 * tolerance, rel=0.1)


def test_a_nan_is_a_difference() -> None:
    broken = LOGITS.clone()
    broken[0, 0] = torch.nan
    with pytest.raises(WorkFailed, match="differ by nan"):
        verify.compare_logits(broken, LOGITS)


def test_a_fresh_process_computes_the_same_logits(folder: Path) -> None:
    images = {"a": torch.randn(4, 1, 8, 8), "b": torch.randn(1, 1, 8, 8)}
    network = verify.load_exported(folder)
    fresh = verify.fresh_logits(folder, images)
    for name, batch in images.items():
        torch.testing.assert_close(fresh[name], network(batch))
    assert sorted(file.name for file in folder.iterdir()) == ["model.py", "weights.safetensors"]


def test_the_last_line_of_a_failed_process_is_reported(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def load():\n    raise OSError('no weights\\nat all')\n")
    problem = r"^the exported model does not run in a fresh process: at all$"
    with pytest.raises(WorkFailed, match=problem):
        verify.fresh_logits(tmp_path, {"a": torch.zeros(1, 1, 8, 8)})


def test_an_exported_network_is_timed_like_a_candidate(folder: Path) -> None:
    network = verify.load_exported(folder)
    files = Exported(candidate=candidate(), network=network, params=0, bits=0)
    timed = read_exported(files)["latency_ms"]
    assert 0 < timed.low <= timed.value <= timed.high
    assert 0 < len(timed.samples) <= timing(timed).blocks
