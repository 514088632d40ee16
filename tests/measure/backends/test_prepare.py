"""Deployed forms are timed in the backend of the network."""

import importlib.metadata

import pytest
import torch
from torch import nn

from dsx.conv import build, deploy, preset
from dsx.conv.deploy import EAGER, Choice
from dsx.conv.deploy._choose import candidates
from dsx.errors import TrialFailed
from dsx.measure.backends import runner
from tests.conv.deploy.networks import BINARY, CORNERS, CROSS
from tests.measure.backends.networks import HERE, LastWins

X = torch.randn(2, 8, 9, 7)


def test_runner_is_identified_by_package_versions() -> None:
    assert runner("eager", 1).name == EAGER.name == "eager"
    assert (
        runner("openvino", 1).name == f"openvino openvino={importlib.metadata.version('openvino')}"
    )
    assert runner("compile", 1) == EAGER


@pytest.mark.parametrize("backend", ["eager", "onnxruntime", "openvino"])
def test_forms_are_run_by_the_backend(backend: str) -> None:
    conv = build(BINARY, nn.Conv2d(8, 8, 3, padding=1)).eval()
    forms = candidates(conv, native=False)
    runs = runner(backend, 1).prepare(list(forms.values()), X)
    assert len(runs) == len(forms) > 1
    for name, run in zip(forms, runs, strict=True):
        assert run is not None, name
        torch.testing.assert_close(run(), conv(X), rtol=1e-4, atol=1e-5)


def test_unsupported_form_is_excluded() -> None:
    """OpenVINO does not support addition by index, which some forms of learned shapes use."""
    torch.manual_seed(0)
    conv = build(preset("lhc", block_in=4, block_out=4), nn.Conv2d(8, 8, 3, padding=1)).eval()
    forms = candidates(conv, native=False)
    runs = dict(zip(forms, runner("openvino", 1).prepare(list(forms.values()), X), strict=True))
    assert runs["split"] is None
    assert runs["dense"] is not None


def test_only_supported_forms_are_selected() -> None:
    form_cache = dict[str, Choice]()
    network = nn.Sequential(build(CROSS, nn.Conv2d(8, 8, 3)), build(CORNERS, nn.Conv2d(8, 8, 3)))
    plain = runner(f"{HERE}:PLAIN", 1)
    found = deploy(network, X, timer=LastWins(), form_cache=form_cache, runner=plain)
    assert {choice.form for choice in found.choices.values()} == {"dense"}
    assert all(list(choice.seconds) == ["dense"] for choice in found.choices.values())
    # A selection for one backend does not apply to another one.
    assert len(form_cache) == 2
    deploy(network, X, timer=LastWins(), form_cache=form_cache)
    assert len(form_cache) == 4


def test_backend_without_any_supported_form_is_an_error() -> None:
    with pytest.raises(TrialFailed, match="cannot take Identity"):
        runner(f"{HERE}:PLAIN", 1).prepare([nn.Identity(), nn.ReLU()], X)
