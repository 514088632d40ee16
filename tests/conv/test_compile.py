"""torch.compile compiles every convolution module into one graph."""

import os
import shutil
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, DsxConv, build, preset, preset_names
from dsx.conv.modules.learned import LearnedConv2d
from tests.conv.strategies import SHAPES

SPECS = [
    *(ConvSpec(kernel_shape=shape) for shape in SHAPES),
    *(ConvSpec(kernel_shape=shape, groups=2, channel_stride=0.5) for shape in SHAPES),
    ConvSpec(kernel_shape="cross", groups=2),
    ConvSpec(groups="all", separable=True),
    ConvSpec(groups=2, channel_stride=0.5, separable=True),
    *(ConvSpec(kernel_shape=shape, binary_basis=3, splits=2) for shape in SHAPES),
    *(
        ConvSpec(kernel_shape=shape, binary_basis=1, groups=2, channel_stride=0.5, scale=True)
        for shape in SHAPES
    ),
    ConvSpec(binary_basis=3, groups=2, scale=True),
    ConvSpec(binary_basis=3, groups=2, channel_stride=0.5, separable=True),
    *(
        ConvSpec(kernel_shape="learned", rigid=rigid, block_in=block, block_out=3)
        for rigid in (False, True)
        for block in (3, 32)
    ),
]
COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")


@pytest.fixture(autouse=True)
def reset_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def slot() -> nn.Conv2d:
    return nn.Conv2d(4, 8, 3, stride=2, padding=1, dtype=torch.float64)


def step(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of its sum of squares."""
    module.zero_grad()
    out: Tensor = module(x)
    out.square().sum().backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    return [out.detach(), *gradients]


def assert_compiles(module: DsxConv, backend: str) -> None:
    x = torch.randn(2, 4, 9, 7, dtype=torch.float64)
    expected = step(module, x)
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    got = step(compiled, x)  # type: ignore[arg-type]
    assert len(got) == len(expected) > 1
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "spec", SPECS, ids=lambda spec: "-".join(map(str, spec.to_json().values()))
)
def test_aot_eager_gives_the_same_output_and_gradients(spec: ConvSpec) -> None:
    assert_compiles(build(spec, slot()), "aot_eager")


@pytest.mark.parametrize("rigid", [False, True])
def test_a_compiled_module_follows_its_schedule(rigid: bool) -> None:
    spec = ConvSpec(kernel_shape="learned", rigid=rigid, block_in=3, block_out=3)
    module = build(spec, slot())
    assert isinstance(module, LearnedConv2d)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    x = torch.randn(2, 4, 9, 7, dtype=torch.float64)

    def assert_follows() -> None:
        expected = step(module, x)
        for one, other in zip(step(compiled, x), expected, strict=True):  # type: ignore[arg-type]
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)

    assert_follows()
    module.enable(torch.arange(8) % 3 == 0)
    assert_follows()
    module.freeze()
    assert_follows()


@pytest.mark.slow
# Inductor imports a deprecated module of torch.
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.skipif(COMPILER is None, reason="inductor needs a C++ compiler, none found")
@pytest.mark.parametrize("name", preset_names())
def test_inductor_gives_the_same_output_and_gradients(name: str) -> None:
    assert_compiles(build(preset(name), slot()), "inductor")
