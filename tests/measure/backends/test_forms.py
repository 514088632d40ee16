"""`deploy: auto` selects native forms where the kernels, the backend and the settings permit."""

from pathlib import Path
from typing import Any

import pytest

from dsx.conv import ConvSpec
from dsx.conv.native import Kernels
from dsx.measure.backends import (
    forms_note,
    no_native_forms,
    resolved,
    unsupported,
    with_other_settings,
)
from dsx.measure.candidate import Candidate
from dsx.measure.run_settings import run_settings
from dsx.space import with_measure_settings
from dsx.space.yaml.schema import Measure
from tests.export.always import Always
from tests.measure.candidates import SMALL
from tests.space.space_files import space

NOT_POSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"dtype": "bfloat16"}, "the compiled kernels compute in float32 and float64 only, not in "
     "bfloat16"),
    ({"device": "cuda"}, "on cuda native forms take part with measure.deploy: native only"),
    ({"backend": "onnxruntime"}, "the backend onnxruntime cannot run the compiled kernels of dsx"),
    ({"backend": "openvino"}, "the backend openvino cannot run the compiled kernels of dsx"),
]  # fmt: skip


@pytest.mark.parametrize(
    "settings", [{}, {"dtype": "float64"}, {"backend": "compile"}, {"threads": 2}]
)
def test_auto_selects_native_forms(settings: dict[str, Any], native: Kernels) -> None:
    measure = Measure(**settings)
    assert measure.deploy == "auto"
    assert no_native_forms(measure) is None
    assert resolved(measure) == Measure(**settings, deploy="native")
    assert forms_note(measure) is None
    assert unsupported(Measure(**settings, deploy="native")) is None


@pytest.mark.parametrize(("settings", "reason"), NOT_POSSIBLE)
def test_auto_selects_portable_forms_with_a_note(settings: dict[str, Any], reason: str) -> None:
    measure = Measure(**settings)
    assert resolved(measure) == Measure(**settings, deploy="portable")
    note = f"measure.deploy: auto selects portable forms, because {reason}"
    assert forms_note(measure) == note
    assert forms_note(Measure(**settings, deploy="portable")) is None


def test_without_kernels_auto_is_portable_and_native_is_refused(no_kernels: Path) -> None:
    reason = f"DSX_KERNELS: no file '{no_kernels}'"
    assert resolved(Measure()).deploy == "portable"
    note = f"measure.deploy: auto selects portable forms, because {reason}"
    assert forms_note(Measure()) == note
    problem = unsupported(Measure(deploy="native"))
    assert problem is not None
    assert problem.key == "deploy"
    assert problem.reason == f"native: {reason} (allowed here: auto, portable)"


def test_native_forms_are_given_up_only_for_other_settings(native: Kernels) -> None:
    automatic = space(SMALL)
    pinned = with_measure_settings(automatic, deploy="native")
    assert with_other_settings(pinned, threads=2).file.measure.deploy == "native"
    for settings, _ in NOT_POSSIBLE:
        assert with_other_settings(pinned, **settings).file.measure.deploy == "auto"
        impossible = with_measure_settings(automatic, deploy="native", **settings)
        assert with_other_settings(impossible, batch=2).file.measure.deploy == "native"
    plain = with_measure_settings(automatic, deploy="portable")
    assert with_other_settings(plain, dtype="bfloat16").file.measure.deploy == "portable"


def test_the_kernels_belong_to_settings_and_provenance(native: Kernels) -> None:
    settings = run_settings(Measure())
    assert settings["deploy"] == "native"
    assert settings["packages"] == {"kernels of dsx": native.version}
    assert run_settings(Measure(deploy="portable"))["packages"] == {}
    loaded = with_measure_settings(space(SMALL), budget_seconds=0.01)
    design = loaded.design({"stages.0.conv1": ConvSpec(kernel_shape="corners")})
    for forms, kernels in (("native", native.identity), ("portable", None)):
        candidate = Candidate(
            with_measure_settings(loaded, deploy=forms), design, Always("block_sparse")
        )
        assert candidate.deployment.kernels == kernels
