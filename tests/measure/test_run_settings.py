"""Settings that determine how a network is run."""

import importlib.metadata
import json

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
