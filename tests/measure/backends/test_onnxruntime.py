"""ONNX Runtime: no output, no telemetry, and the given number of threads."""

import os
from typing import Any

import pytest
import torch
from torch import nn

from dsx.conv.timing import Run
from dsx.errors import TrialFailed
from dsx.measure.backends import prepare
from tests.measure.backends.networks import Doubtful, small

X = torch.randn(1, 3, 9, 7)


def session(run: Run) -> Any:
    return run.session  # type: ignore[attr-defined]


def test_no_output_and_no_telemetry(capfd: pytest.CaptureFixture[str]) -> None:
    prepare("onnxruntime", small(X), X, threads=1)()
    assert capfd.readouterr() == ("", "")
    assert "ORT_DISABLE_TELEMETRY" not in os.environ


def test_number_of_threads_and_log_level() -> None:
    options = session(prepare("onnxruntime", nn.ReLU(), X, threads=2)).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.log_severity_level == 3


def test_network_without_a_graph_is_a_trial_failure() -> None:
    with pytest.raises(TrialFailed, match=r"^onnxruntime does not support this network: [^\n]+$"):
        prepare("onnxruntime", Doubtful(), X, threads=1)


def test_sample_is_not_copied() -> None:
    sample = torch.randn(1, 3, 4, 4)
    run = prepare("onnxruntime", nn.ReLU(), sample, threads=1)
    for _ in range(2):
        sample.normal_()
        assert torch.equal(run(), sample.relu())  # type: ignore[arg-type]
