"""Export: one program for several networks, no output, errors of one line."""

import logging
import warnings

import pytest
import torch
from torch import nn

from dsx.conv import build
from dsx.conv.deploy._choose import candidates
from dsx.errors import TrialFailed
from dsx.measure.backends._export import exported, preparing
from tests.conv.deploy.networks import BINARY


def test_one_program_has_the_outputs_of_all_networks() -> None:
    # One of the forms has buffers that are None.
    x = torch.randn(2, 8, 9, 7)
    conv = build(BINARY, nn.Conv2d(8, 8, 3)).eval()
    forms = candidates(conv, native=False)
    with preparing("tested"), torch.inference_mode():
        outputs = exported(list(forms.values()), x).module()(x)
    assert len(outputs) == len(forms) > 1
    for out in outputs:
        torch.testing.assert_close(out, conv(x), rtol=1e-4, atol=1e-5)


def test_output_of_exporters_is_suppressed(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    with preparing("tested"):
        logging.getLogger("torch.onnx").warning("noise")
        warnings.warn("noise", stacklevel=1)
        logging.getLogger("torch.onnx").error("not noise")
    logging.getLogger("torch.onnx").warning("logged afterwards")
    assert [record.message for record in caplog.records] == ["not noise", "logged afterwards"]
    assert not recwarn


def test_error_is_one_line_about_its_original_cause() -> None:
    before = logging.root.manager.disable
    with pytest.raises(TrialFailed) as caught, preparing("tested"):
        try:
            raise ValueError("here it\n  began  \n\n and there it ended\n")
        except ValueError as error:
            raise RuntimeError("long\nwinded") from error
    assert str(caught.value) == (
        "tested does not support this network: ValueError ... here it ... and there it ended"
    )
    assert logging.root.manager.disable == before < logging.WARNING
