"""The contract of every backend: a new file is tested automatically."""

import importlib.metadata
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import dsx
from dsx.conv import deploy
from dsx.errors import DsxError
from dsx.lookup import find, names
from dsx.measure.backends import Backend, prepare, versions
from dsx.measure.candidate import DTYPES
from dsx.nets._resnet import BasicBlock, ResNet
from tests.conv.deploy.networks import BINARY, SEPARABLE, Residual
from tests.measure.backends.networks import LastWins, small

BACKENDS = names(Backend)
LONG = ("compile",)
"""Backends that take seconds to prepare a network; only one network is tested."""

TOLERANCES = {"float32": 1e-5, "float64": 1e-12, "bfloat16": 2e-2}
"""Maximum difference relative to the largest output, due to another order of summation."""

SIZES = {"float32": (1, 3, 9, 7), "float64": (2, 3, 9, 7), "bfloat16": (8, 3, 8, 8)}


def resnet(sample: Tensor) -> nn.Module:
    """Deploy a residual network of dsx with four blocks."""
    network = ResNet(BasicBlock, (1, 1, 1, 1), classes=10).eval()
    return deploy(network.to(sample.dtype), sample)


def redesigned(sample: Tensor) -> nn.Module:
    """Deploy separable, binary and cyclic convolutions, none of them in the dense form."""
    network = nn.Sequential(Residual(SEPARABLE), nn.Unflatten(1, (5, 1, 1)), nn.Flatten())
    both = nn.ModuleList([network, Residual(BINARY)])
    return deploy(Sum(both).to(sample.dtype), sample, timer=LastWins())


class Sum(nn.Module):
    """The sum of two networks."""

    def __init__(self, parts: nn.ModuleList) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.parts[0](x) + self.parts[1](x)
        return out


KINDS: list[Callable[[Tensor], nn.Module]] = [small, redesigned, resnet]


def assert_same(got: object, expected: Tensor, dtype: str) -> None:
    assert isinstance(got, Tensor)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    difference = (got.double() - expected.double()).abs().max() / expected.double().abs().max()
    assert difference <= TOLERANCES[dtype]


def test_expected_backends_exist() -> None:
    assert {"eager", "compile", "onnxruntime", "openvino"} <= set(BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
def test_record_is_complete(name: str) -> None:
    record = find(Backend, name)
    assert record.clock in ("thread", "process")
    assert "float32" in record.dtypes and set(record.dtypes) <= set(DTYPES)
    assert "cpu" in record.devices and set(record.devices) <= {"cpu", "cuda"}
    assert record.unsupported() is None


@pytest.mark.parametrize("name", BACKENDS)
def test_required_packages_belong_to_an_extra_and_are_installed(name: str) -> None:
    record, project = find(Backend, name), Path(dsx.__file__).parents[1] / "pyproject.toml"
    extras = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    for package, extra in record.needs.items():
        assert any(line.startswith(f"{package}>=") for line in extras[extra]), package
    assert versions(name) == {package: importlib.metadata.version(package)
                              for package in record.needs}  # fmt: skip


CASES = [
    (name, dtype)
    for name in BACKENDS
    for dtype in (("float32",) if name in LONG else find(Backend, name).dtypes)
]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_outputs_equal_those_of_the_network(name: str, dtype: str) -> None:
    """Networks are prepared together, and run twice in another order."""
    sample = torch.randn(SIZES[dtype]).to(DTYPES[dtype])
    kinds = KINDS[:1] if name in LONG or dtype != "float32" else KINDS
    networks = [kind(sample) for kind in kinds]
    runs = find(Backend, name).prepare(networks, sample, 1)
    with torch.inference_mode():
        for run, network in [*zip(runs, networks, strict=True)][::-1] * 2:
            assert_same(run(), network(sample), dtype)


@pytest.mark.parametrize("name", [name for name in BACKENDS if name not in LONG])
def test_whole_batch_is_run(name: str) -> None:
    sample = torch.randn(8, 3, 8, 8)
    network = small(sample)
    with torch.inference_mode():
        assert_same(prepare(name, network, sample, threads=1)(), network(sample), "float32")


@pytest.mark.parametrize("name", BACKENDS)
def test_unsupported_dtype_is_an_error(name: str) -> None:
    record = find(Backend, name)
    for dtype in set(DTYPES) - set(record.dtypes):
        problem = rf"^measure\.dtype: the backend {name} computes in .* only, not {dtype}$"
        with pytest.raises(DsxError, match=problem):
            prepare(name, nn.Identity(), torch.zeros(1, 3, 4, 4, dtype=DTYPES[dtype]), threads=1)


@pytest.mark.parametrize("name", [name for name in BACKENDS if find(Backend, name).own_layout])
def test_unsupported_layout_is_an_error(name: str) -> None:
    sample = torch.zeros(1, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    with pytest.raises(DsxError, match=rf"^measure\.channels_last: no effect: the backend {name}"):
        prepare(name, nn.Identity(), sample, threads=1)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.timing
def test_clock_matches_the_working_threads(name: str) -> None:
    sample = torch.randn(4, 16, 64, 64)
    network = nn.Sequential(nn.Conv2d(16, 32, 3), nn.ReLU()).eval().requires_grad_(False)
    run = prepare(name, network, sample, threads=1)
    with torch.inference_mode():
        run()
        process, thread = time.process_time_ns(), time.thread_time_ns()
        for _ in range(30):
            run()
        thread, process = time.thread_time_ns() - thread, time.process_time_ns() - process
    assert (thread > 0.8 * process) == (find(Backend, name).clock == "thread")
