"""ONNX Runtime: quiet, discreet, with the threads it is given."""

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


def test_nothing_is_said_or_reported(capfd: pytest.CaptureFixture[str]) -> None:
    prepare("onnxruntime", small(X), X, threads=1)()
    assert capfd.readouterr() == ("", "")
    assert "ORT_DISABLE_TELEMETRY" not in os.environ


def test_threads_are_those_that_were_given_and_warnings_are_off() -> None:
    options = session(prepare("onnxruntime", nn.ReLU(), X, threads=2)).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.log_severity_level == 3


def test_a_network_without_a_graph_is_a_trial_that_failed() -> None:
    with pytest.raises(TrialFailed, match=r"^onnxruntime does not support this network: [^\n]+$"):
        prepare("onnxruntime", Doubtful(), X, threads=1)


def test_it_reads_the_sample_where_it_is() -> None:
    sample = torch.randn(1, 3, 4, 4)
    run = prepare("onnxruntime", nn.ReLU(), sample, threads=1)
    for _ in range(2):
        sample.normal_()
        assert torch.equal(run(), sample.relu())  # type: ignore[arg-type]
