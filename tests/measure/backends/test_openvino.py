"""OpenVINO: no telemetry, and the given precision and number of threads."""

import logging
import os
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dsx.conv.timing import Run
from dsx.errors import TrialFailed
from dsx.measure.backends import prepare
from tests.measure.backends.networks import Doubtful, small

X = torch.randn(1, 3, 9, 7)


def model(run: Run) -> Any:
    return run.request.get_compiled_model()  # type: ignore[attr-defined]


def test_no_output_and_no_telemetry(capfd: pytest.CaptureFixture[str]) -> None:
    prepare("openvino", small(X), X, threads=1)()
    assert capfd.readouterr() == ("", "")
    assert "openvino_telemetry" not in sys.modules


class Unconvertible(nn.Module):
    """A network with addition by index in two dimensions, which OpenVINO does not support."""

    def forward(self, x: Tensor) -> Tensor:
        return x.index_add(1, torch.tensor([0, 1]), x[:, :2])


def test_the_root_logger_is_unchanged_after_a_failure() -> None:
    def state() -> tuple[object, ...]:
        return logging.root.level, logging.root.filters[:], logging.root.handlers[:]

    before = state()
    with pytest.raises(TrialFailed, match="openvino does not support this network"):
        prepare("openvino", Unconvertible(), X, threads=1)
    assert state() == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_and_number_of_threads(dtype: torch.dtype) -> None:
    # OpenVINO computes in float32 where the processor has no instructions for bfloat16.
    openvino = pytest.importorskip("openvino")
    abilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    is_lower = dtype is torch.bfloat16 and "BF16" in abilities
    name = "bfloat16" if is_lower else "float32"
    compiled = model(prepare("openvino", nn.ReLU(), X.to(dtype), threads=1))
    assert name in str(compiled.get_property("INFERENCE_PRECISION_HINT"))
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert compiled.get_property("NUM_STREAMS") == 1


def test_calling_thread_is_not_pinned() -> None:
    before = os.sched_getaffinity(0)
    prepare("openvino", small(X), X, threads=1)()
    assert os.sched_getaffinity(0) == before


def test_network_without_a_graph_is_a_trial_failure() -> None:
    with pytest.raises(TrialFailed, match=r"^openvino does not support this network: [^\n]+$"):
        prepare("openvino", Doubtful(), X, threads=1)


def test_sample_is_not_copied() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        sample = torch.randn(1, 3, 4, 4).to(dtype)
        run = prepare("openvino", nn.ReLU(), sample, threads=1)
        for _ in range(2):
            sample.normal_()
            assert torch.equal(run(), sample.relu())  # type: ignore[arg-type]
