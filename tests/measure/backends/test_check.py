"""Unsupported settings of a backend are reported before networks are run."""

import pytest
import torch
from torch import nn

from dsx.errors import DsxError
from dsx.measure.backends import prepare, unsupported, versions
from dsx.space.yaml.schema import Measure
from tests.measure.backends.networks import HERE

REFUSALS = [
    (Measure(backend="onnxruntme"), "backend", "no backend called 'onnxruntme' (allowed: compile"),
    (Measure(backend="onnxruntme"), "backend", "Did you mean 'onnxruntime'?"),
    (Measure(backend=f"{HERE}:NEEDY"), "backend",
     f"{HERE}:NEEDY needs the package no_such_one: pip install 'dsx[onnxruntime]'"),
    (Measure(backend=f"{HERE}:NEEDIER"), "backend",
     "the packages no_such_one and nor_this: pip install 'dsx[onnxruntime,openvino]'"),
    (Measure(backend=f"{HERE}:LACKING"), "backend", "needs a wheel"),
    (Measure(backend="openvino", device="cuda"), "device",
     "the backend openvino runs on cpu only, not cuda"),
    (Measure(backend="openvino", dtype="float64"), "dtype",
     "the backend openvino computes in float32 and bfloat16 only, not float64"),
    (Measure(backend="onnxruntime", channels_last=True), "channels_last",
     "the backend onnxruntime chooses the memory layout itself; leave it out"),
]  # fmt: skip


@pytest.mark.parametrize(("measure", "key", "words"), REFUSALS)
def test_unsupported_setting_names_key_and_reason(measure: Measure, key: str, words: str) -> None:
    problem = unsupported(measure)
    assert problem is not None
    assert problem.key == key
    assert words in problem.reason


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_backends_of_torch_support_all_settings(backend: str) -> None:
    for dtype in ("float32", "float64", "bfloat16"):
        assert unsupported(Measure(backend=backend, dtype=dtype, channels_last=True)) is None
    problem = unsupported(Measure(backend=backend, device="cuda"))
    if torch.cuda.is_available():
        assert problem is None
    else:
        assert problem is not None
        assert problem.key == "device" and "no CUDA device" in problem.reason


def test_backend_without_its_packages_is_an_error() -> None:
    line = r"^measure\.backend: .* needs the package no_such_one: pip install 'dsx\[onnxruntime\]'$"
    with pytest.raises(DsxError, match=line):
        versions(f"{HERE}:NEEDY")
    with pytest.raises(DsxError, match=line):
        prepare(f"{HERE}:NEEDY", nn.Identity(), torch.zeros(1), threads=1)
    assert versions("eager") == versions("compile") == {}
