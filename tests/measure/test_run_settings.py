"""Settings that determine how a network is run."""

import importlib.metadata
import json

from dsx.measure.run_settings import run_settings
from dsx.space.yaml.schema import Measure


def test_settings_exclude_the_duration_of_a_timing() -> None:
    plain = run_settings(Measure())
    assert json.loads(json.dumps(plain)) == plain
    assert plain == run_settings(Measure(target_width=0.5, budget_seconds=9.0))
    for changed in (
        Measure(batch=2), Measure(dtype="bfloat16"), Measure(threads=2), Measure(device="cuda"),
        Measure(channels_last=True), Measure(backend="compile"), Measure(deploy="native"),
    ):  # fmt: skip
        assert run_settings(changed) != plain


def test_settings_include_package_versions_of_the_backend() -> None:
    assert run_settings(Measure())["packages"] == {}
    found = run_settings(Measure(backend="onnxruntime"))["packages"]
    assert found["onnxruntime"] == importlib.metadata.version("onnxruntime")
