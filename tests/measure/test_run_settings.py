"""Settings that determine how a network is run."""

import importlib.metadata
import json

import pytest
import torch

from dsx.conv.native import Kernels, gpu
from dsx.measure.run_settings import run_settings
from dsx.space.yaml.schema import Measure


def test_settings_exclude_the_duration_of_a_timing() -> None:
    plain = run_settings(Measure(deploy="portable"))
    assert json.loads(json.dumps(plain)) == plain
    assert plain == run_settings(Measure(deploy="portable", target_width=0.5, budget_seconds=9.0))
    for changed in (
        {"batch": 2}, {"dtype": "bfloat16"}, {"threads": 2}, {"device": "cuda"},
        {"channels_last": True}, {"backend": "compile"}, {"deploy": "native"},
    ):  # fmt: skip
        assert run_settings(Measure.model_validate({"deploy": "portable", **changed})) != plain


def test_settings_include_package_versions_of_the_backend() -> None:
    assert run_settings(Measure(deploy="portable"))["packages"] == {}
    found = run_settings(Measure(backend="onnxruntime"))["packages"]
    assert found["onnxruntime"] == importlib.metadata.version("onnxruntime")


def test_settings_include_the_version_of_the_kernels(native: Kernels) -> None:
    assert run_settings(Measure(deploy="native"))["packages"] == {"kernels of dsx": native.version}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="requires an NVIDIA GPU")
def test_settings_for_a_gpu_include_the_versions_of_its_kernels_and_of_triton() -> None:
    found = run_settings(Measure(device="cuda", deploy="native"))["packages"]
    assert found == gpu.versions()
    assert found["triton"] == importlib.metadata.version("triton")
