"""The public Python API, as design.md writes it down, and what importing it costs."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import dsx
from dsx.errors import DsxError
from dsx.nets.small_cnn import SmallCnn

SPACE = """\
model: small_cnn
model_args: {width: 4}
data: digits
slots: [{match: "stages.*", groups: [1, 2], kernel_shape: [full, cross]}]
objectives: {params: minimize, flops: minimize}
"""


def run(*arguments: str) -> str:
    """Run Python in a fresh process."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_operators_as_written_down() -> None:
    from dsx.conv import ConvSpec, build, deploy, from_conv2d, preset

    spec = preset("scc", groups=2, overlap=0.5)
    assert spec == ConvSpec(kernel_shape="point", groups=2, channel_stride=0.5, separable=True)
    conv2d = nn.Conv2d(64, 128, 3, padding=1, bias=False)
    conv = build(spec, conv2d)
    assert conv.dense_weight().shape == (128, 64, 3, 3)
    cost = conv.cost(out_hw=(32, 32))
    assert (cost.params, cost.flops) == (64 * 9 + 64 + 128 * 32, (64 * 9 + 128 * 32) * 32 * 32)
    assert cost.bits == 32 * cost.params
    kept = from_conv2d(conv2d, ConvSpec(kernel_shape="cross"))
    assert kept(torch.randn(1, 64, 8, 8)).shape == (1, 128, 8, 8)
    model, sample = nn.Sequential(conv, nn.BatchNorm2d(128)).eval(), torch.randn(1, 64, 8, 8)
    fast = deploy(model, sample, timer=None, form_cache=None, native=False)
    torch.testing.assert_close(fast(sample), model(sample), rtol=1e-3, atol=1e-4)


def test_the_defaults_of_a_spec_are_the_documented_ones() -> None:
    from dsx.conv import ConvSpec

    assert ConvSpec() == ConvSpec(
        kernel_shape="full", groups=1, channel_stride=None, binary_basis=0, splits=1, scale=None,
        density=None, rigid=False, block_in=32, block_out=16, separable=False,
    )  # fmt: skip
    with pytest.raises(TypeError, match="positional"):
        ConvSpec("cross")  # type: ignore[call-arg]


def test_slots_and_redesign_as_written_down() -> None:
    from dsx.conv import ConvSpec
    from dsx.space import redesign, slots

    model, sample = SmallCnn(8), torch.zeros(1, 1, 8, 8)
    found = slots(model, sample)
    slot = found[3]
    assert (slot.name, slot.in_channels, slot.out_channels) == ("stages.1.conv1", 8, 16)
    assert (slot.kernel_size, slot.stride, slot.groups) == ((3, 3), (2, 2), 1)
    assert slot.out_hw == ((4, 4),)
    spec = ConvSpec(kernel_shape="cross", groups=2)
    small = redesign(model, {"stages.1.conv1": spec}, keep_weights=False)
    assert small is not model
    assert type(model.get_submodule("stages.1.conv1")) is nn.Conv2d
    assert small(sample).shape == (1, 10)


def test_search_and_front_as_written_down(tmp_path: Path) -> None:
    from dsx import front, search

    file = tmp_path / "tiny.yaml"
    file.write_text(SPACE)
    storage = f"sqlite:///{tmp_path}/dsx.db"
    found = search(file, trials=3, seed=1, storage=storage)
    assert found.study == "tiny"
    assert len(found.entries) == 3
    again = front("tiny", storage=storage)
    assert again.on_front == found.on_front
    assert {entry.id for entry in found.on_front} <= {entry.id for entry in found.entries}


def test_a_space_is_loaded_from_the_top() -> None:
    assert dsx.load_space("digits").name == "digits"
    with pytest.raises(dsx.DsxError, match=r"Did you mean 'digits'\?"):
        dsx.load_space("digit")


def test_the_package_offers_what_it_lists() -> None:
    assert dsx.DsxError is DsxError
    for name in dsx.__all__:
        assert getattr(dsx, name) is not None
    with pytest.raises(AttributeError, match="module 'dsx' has no attribute 'serch'"):
        dsx.serch  # noqa: B018


@pytest.mark.parametrize(
    "package", ["dsx.conv", "dsx.space", "dsx.measure", "dsx.data", "dsx.nets"]
)
def test_every_listed_name_exists(package: str) -> None:
    module = __import__(package, fromlist=["*"])
    for name in module.__all__:
        assert hasattr(module, name), name


@pytest.mark.parametrize("statement", ["import dsx", "from dsx import DsxError, __version__"])
def test_importing_the_package_imports_no_torch(statement: str) -> None:
    heavy = "{'torch', 'optuna', 'sklearn', 'sqlalchemy', 'pydantic'}"
    assert run("-c", f"{statement}\nimport sys; print({heavy} & set(sys.modules))") == "set()\n"


def test_names_are_loaded_when_they_are_asked_for() -> None:
    code = "import dsx, sys; dsx.search; dsx.front; print('torch' in sys.modules)"
    assert run("-c", code) == "True\n"


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["--version"]])
def test_help_imports_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['dsx', *{arguments!r}]\n"
        "try: runpy.run_module('dsx', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'optuna', 'scipy', 'sqlalchemy'} & set(sys.modules)\n"
    )
    assert "dsx" in run("-c", code)


def test_timing_imports_no_scipy_stats() -> None:
    # It takes a second to import, as long as all of dsx without torch.
    assert run(
        "-c", "import dsx.measure.metrics.latency_ms, sys; print('scipy.stats' in sys.modules)"
    ) == ("False\n")


def test_the_function_search_is_not_replaced_by_the_package_of_that_name() -> None:
    before = dsx.search
    importlib.import_module("dsx.search.loop")
    assert dsx.search is before and callable(dsx.search)
    assert isinstance(sys.modules["dsx.search"], ModuleType)
