"""torch.compile: every network is compiled, and unused networks are freed."""

import gc
import weakref

import pytest
import torch
import torch._dynamo.utils
import torch._inductor.config
from torch import Tensor, nn
from torch._inductor.codecache import PyCodeCache

from dsx.errors import DsxError, TrialFailed
from dsx.measure.backends import prepare
from tests.measure.backends.networks import Doubtful

X = torch.randn(2, 6)


@pytest.fixture(autouse=True)
def forget_graphs() -> None:
    torch._dynamo.utils.counters.clear()


class Scale(nn.Module):
    """A network with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def graphs() -> int:
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def test_more_networks_than_the_limit_of_torch_are_compiled() -> None:
    networks = [Scale().eval() for _ in range(4)]
    with torch._dynamo.config.patch(recompile_limit=2):
        runs = [prepare("compile", network, X, threads=1) for network in networks]
        assert graphs() == 4
        with torch.inference_mode():
            for run, network in zip(runs, networks, strict=True):
                torch.testing.assert_close(run(), network(X))
    assert graphs() == 4


def test_unused_network_is_freed_when_the_next_one_is_compiled() -> None:
    # The weights are constants of the code.
    network = nn.Linear(6, 3).eval().requires_grad_(False)
    weight = weakref.ref(network.weight)
    run = prepare("compile", network, X, threads=1)
    del network
    gc.collect()
    assert weight() is not None
    del run
    prepare("compile", Scale().eval(), X, threads=1)
    gc.collect()
    assert weight() is None


def test_weights_are_frozen_into_the_code() -> None:
    run = prepare("compile", nn.Linear(6, 3).eval(), X, threads=1)
    code = PyCodeCache.modules[-1]
    assert any(name.startswith("_frozen_param") for name in vars(code))
    del run


def test_network_that_cannot_be_frozen_is_compiled() -> None:
    network, image = nn.Conv2d(2, 3, 3).double().eval(), torch.randn(1, 2, 5, 4).double()
    with torch.inference_mode():
        out = prepare("compile", network, image, threads=1)()
        torch.testing.assert_close(out, network(image), rtol=1e-12, atol=1e-12)
    assert graphs() == 1


def test_network_with_a_graph_break_is_supported() -> None:
    with torch.inference_mode():
        for image in (X.abs(), -X.abs()):
            run = prepare("compile", Doubtful(), image, threads=1)
            torch.testing.assert_close(run(), Doubtful()(image))


def test_network_is_not_recompiled_during_a_timing() -> None:
    run = prepare("compile", Scale().eval(), X, threads=1)
    with pytest.raises(RuntimeError, match="compiled a second time"):
        run()  # not in inference mode
    with torch.inference_mode():
        run()
        torch.compiler.reset()
        with pytest.raises(RuntimeError, match="compiled a second time"):
            run()


def test_another_input_of_the_same_size_uses_the_same_code() -> None:
    network, images = Scale().eval(), [X, X + 1, X + 2]
    runs = [prepare("compile", network, image, threads=1) for image in images]
    assert graphs() == 1
    with torch.inference_mode():
        for run, image in zip(runs, images, strict=True):
            torch.testing.assert_close(run(), network(image))


def test_missing_compiler_is_reported() -> None:
    with (
        torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.raises(DsxError, match=r"^measure\.backend: compile needs a C\+\+ compiler: g\+\+"),
    ):
        prepare("compile", Scale().eval(), X, threads=1)


class Wrong(nn.Module):
    """A network that raises an error."""

    def forward(self, x: Tensor) -> Tensor:
        return x @ x


def test_network_that_raises_is_a_trial_failure() -> None:
    with pytest.raises(TrialFailed, match=r"^compile does not support this network: [^\n]+$"):
        prepare("compile", Wrong(), X, threads=1)


class Double(nn.Module):
    """A convolution in a different dtype than its image, whose weights cannot be frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x.double())
        return out


def test_error_of_the_compiler_is_reported() -> None:
    with pytest.raises(TrialFailed, match=r"network: RuntimeError \.\.\. itensor_view_from_dense"):
        prepare("compile", Double().eval(), torch.randn(1, 2, 5, 4), threads=1)
