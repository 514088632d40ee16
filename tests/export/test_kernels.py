"""The module and the loader of the kernels that an export contains."""

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, build, deploy
from dsx.conv.native import EXPORTED_OPERATOR, Kernels, library_name
from dsx.conv.native.runtime import compiled
from dsx.errors import WorkFailed
from dsx.export.kernels import FOLDER, is_built
from dsx.export.model_py import write
from dsx.export.verify import load_exported
from dsx.measure.metrics.flops import count
from tests.export.always import Always
from tests.export.conftest import Searched, make_space
from tests.export.exporting import check_alone, export

IMAGES = torch.randn(2, 8, 9, 7, generator=torch.Generator().manual_seed(0))
LOAD = "import sys; sys.path.insert(0, sys.argv[1]); from model import load; print(load())"


class Residual(nn.Module):
    """A sparse convolution whose kernel adds the input and applies the activation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = build(ConvSpec(kernel_shape="corners"), nn.Conv2d(8, 8, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)


@pytest.fixture
def designed() -> Residual:
    return Residual().eval().requires_grad_(False)


@pytest.fixture
def folder(tmp_path: Path, designed: Residual, native: Kernels) -> Path:
    deployed = deploy(designed, IMAGES, form_cache=Always("block_sparse"), native=True)
    write(deployed, IMAGES, "A network.", tmp_path)
    return tmp_path


@pytest.fixture
def network(folder: Path) -> nn.Module:
    return load_exported(folder)


def conv_of(network: nn.Module) -> Any:
    return network.conv


def operators(program: torch.export.ExportedProgram) -> list[str]:
    """Return the operators of dsx that a program calls."""
    found = (str(node.target) for node in program.graph.nodes)
    return [name for name in found if name.startswith("dsx")]


def test_the_folder_is_readable_code(folder: Path) -> None:
    text = (folder / "model.py").read_text()
    assert "Requires torch only, and a C++ compiler on first use:" in text
    assert "self.conv = kernels.BlockSparseConv2d(8, 8, (3, 3), (1, 1), (1, 1, 1, 1)," in text
    assert '"bias": [8]}, activation="relu")' in text
    assert max(map(len, text.splitlines())) <= 120
    for file in (folder / FOLDER).glob("*.py"):
        assert "from dsx" not in file.read_text(), file.name
    assert not list(folder.rglob("__pycache__"))


def test_copies_and_changed_weights_are_computed_with_their_own_tensors(
    network: nn.Module,
) -> None:
    before = network(IMAGES)
    twin = copy.deepcopy(network)
    assert torch.equal(twin(IMAGES), before)
    twin.load_state_dict({name: 2 * t if t.is_floating_point() else t
                          for name, t in network.state_dict().items()}, assign=True)  # fmt: skip
    assert not torch.equal(twin(IMAGES), before)
    assert torch.equal(network(IMAGES), before)
    double = copy.deepcopy(network).double()
    torch.testing.assert_close(double(IMAGES.double()).float(), before)


def test_compilers_and_counters_see_one_operator(network: nn.Module, designed: Residual) -> None:
    program = torch.export.export(network, (IMAGES,))
    assert operators(program) == [f"{EXPORTED_OPERATOR.replace('::', '.')}.default"]
    torch.testing.assert_close(program.module()(IMAGES), designed(IMAGES))
    compiled_network = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled_network(IMAGES), designed(IMAGES))
    assert count(network, IMAGES[:1]) == 9 * 7 * 4 * 8 * 8


def test_exports_of_several_versions_have_operators_of_their_own(
    folder: Path, designed: Residual, tmp_path: Path
) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    runtime = other / FOLDER / "__init__.py"
    text, result = runtime.read_text(), "_compute(layer, x, residual, weights.dtype, geometry)"
    assert text.count(result) == 1
    runtime.write_text(text.replace(result, f"0 * {result}"))
    first, second = (torch.export.export(load_exported(f), (IMAGES,)) for f in (folder, other))
    assert len({*operators(first), *operators(second)}) == 2
    torch.testing.assert_close(first.module()(IMAGES), designed(IMAGES))
    assert not second.module()(IMAGES).any()


@pytest.mark.parametrize("traced", [False, True])
def test_residuals_are_added_as_torch_adds_them(
    network: nn.Module, designed: Residual, traced: bool
) -> None:
    conv = conv_of(network)
    if traced:
        conv = torch.compile(conv, backend="aot_eager", fullgraph=True, dynamic=False)
    for shape in ((2, 8, 9, 7), (1, 8, 1, 1), (8, 1, 1), (7,)):
        for x in (IMAGES, IMAGES[:1]):
            residual = torch.randn(shape)
            expected = torch.relu(designed.conv(x) + residual)
            torch.testing.assert_close(conv(x, residual), expected)


def test_inputs_that_the_kernels_cannot_read_are_refused(network: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"^the input is torch.float64 on cpu \(allowed: torch.fl"):
        network(IMAGES.double())
    with pytest.raises(ValueError, match=r"^input of shape \(2, 4, 9, 7\) \(allowed: \(B, 8, H"):
        network(IMAGES[:, :4])
    with pytest.raises(ValueError, match=r"^the weights are torch.bfloat16 on cpu"):
        copy.deepcopy(network).bfloat16()(IMAGES.bfloat16())
    for needing in ({"input": True}, {"residual": True}):
        given = {name: torch.randn(IMAGES.shape, requires_grad=needing.get(name, False))
                 for name in ("input", "residual")}  # fmt: skip
        with pytest.raises(RuntimeError, match=r"for inference only: it has no gradient$"):
            conv_of(network)(**given)
    with pytest.raises(ValueError, match=r"^the input is torch.float64 on cpu \(allowed: torch.fl"):
        conv_of(network)(IMAGES, IMAGES.double())
    with pytest.raises(RuntimeError, match=r"must match the size"):
        conv_of(network)(IMAGES, torch.randn(3, 8, 9, 7))
    assert network(IMAGES[:0]).shape == (0, 8, 9, 7)
    strided = IMAGES.contiguous(memory_format=torch.channels_last)
    assert torch.equal(network(strided), network(IMAGES))


def test_outputs_that_are_too_large_are_refused_and_not_allocated(network: nn.Module) -> None:
    tensors = {"plan": [17], "weights": [0]}
    sizes = (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)
    wide = type(conv_of(network))(1, 1024, *sizes, tensors)
    said = r"^a tensor of shape \(2, 1024, 1024, 1024\) is too large; use a smaller batch$"
    with pytest.raises(ValueError, match=said):
        wide(torch.zeros(2, 1, 1024, 1024))


def test_a_plan_of_another_format_is_refused(network: nn.Module) -> None:
    conv_of(network).plan[0] += 1
    said = r"^the plan in the weights is that of other kernels; export again$"
    with pytest.raises(RuntimeError, match=said):
        network(IMAGES)


def test_a_failed_import_of_the_kernels_is_repeated(folder: Path, designed: Residual) -> None:
    file = folder / FOLDER / "interface.py"
    content = file.read_bytes()
    file.unlink()
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match=r"interface'$"):
            load_exported(folder)
    file.write_bytes(content)
    torch.testing.assert_close(load_exported(folder)(IMAGES), designed(IMAGES))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_native_forms_are_exported_with_their_kernels(
    searched: Searched, out: Path, tmp_path: Path, dtype: str, tolerance: float, native: Kernels
) -> None:
    space = make_space(dtype=dtype, deploy="native")
    bundle = export(
        space,
        searched.design,
        out,
        weights=searched.weights,
        searched=searched.metrics,
        form_cache=Always("block_sparse"),
    )
    manifest = bundle.manifest
    assert (manifest["measure"]["deploy"], manifest["kernels"]) == ("native", native.identity)
    assert "block_sparse" in manifest["forms"].values()
    written = {
        file.relative_to(out).as_posix()
        for file in out.rglob("*")
        if file.is_file() and not is_built(file) and file.name != "manifest.json"
    }
    assert set(manifest["files"]) == written >= {"kernels/__init__.py", "kernels/source/micro.h"}
    cost, metrics = space.cost(searched.design), manifest["metrics"]
    assert metrics["bits"]["exported"] == cost.bits
    assert cost.flops <= metrics["deployed_flops"]["exported"] <= 1.5 * cost.flops
    assert metrics["latency_ms"]["exported"] > 0
    check_alone(out, space, searched.design, searched.weights, tmp_path / "logits", tolerance)
    # With the bytecode that running it has left behind.
    export(space, searched.design, out, weights=searched.weights, force=True)


def test_native_forms_need_a_compiler(
    searched: Searched,
    out: Path,
    tmp_path: Path,
    native: Kernels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space = make_space(deploy="native")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = (
        r"^the exported model does not run in a fresh process: RuntimeError: this network needs a "
        r"C\+\+ compiler on first use, and none runs \(tried: no-such-compiler\): install one"
    )
    with pytest.raises(WorkFailed, match=reason):
        export(space, searched.design, out, weights=searched.weights,
               form_cache=Always("block_sparse"))  # fmt: skip
    assert not out.exists()


def test_without_a_compiler_the_reason_is_stated(folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache"), "CXX": ""}
    command = [sys.executable, "-IB", "-c", LOAD, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "RuntimeError: this network needs a C++ compiler on first use, and none runs (tried: c++, "
        "g++, clang++): install one, or name it in the environment variable CXX"
    )


def test_a_library_that_cannot_be_loaded_is_named(folder: Path) -> None:
    broken = folder / FOLDER / library_name()
    broken.write_text("not a library")
    assert is_built(broken)
    done = subprocess.run(
        [sys.executable, "-IB", "-c", LOAD, str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1].endswith(f"; delete {broken} to compile it again")


COMPILER = """#!/bin/sh
while [ "$1" != -o ] && [ $# -gt 1 ]; do shift; done
[ $# -gt 1 ] && echo compiled > "$2"
exit 0
"""


def test_a_folder_that_cannot_be_written_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler, cache = tmp_path / "compiler", tmp_path / "cache" / "dsx"
    compiler.write_text(COMPILER)
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))
    (tmp_path / "kernels").mkdir()
    for place in (tmp_path / "missing", tmp_path / "kernels"):
        found = compiled("library.so", [place, cache])
        assert found == (place if place.exists() else cache) / "library.so"
        assert found.read_text() == "compiled\n"
        assert f"compiling the kernels into {found.parent} (once" in capsys.readouterr().err


@pytest.mark.slow
def test_the_kernels_are_compiled_once(folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-IB", "-c", LOAD, str(folder)]
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert "compiling the kernels into " in first.stderr and not second.stderr
    assert (folder / FOLDER / library_name()).is_file()
