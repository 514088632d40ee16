"""The loss of a batch: formulas, precision, memory layout, compiled networks."""

import os
import shutil
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, preset
from dsx.errors import DsxError
from dsx.space import redesign
from dsx.space.yaml.schema import Train
from dsx.train import predict, train
from dsx.train.forward import Forward
from tests.train.networks import LEARNED, SHORT, Plain, fresh, part

CPU = torch.device("cpu")
COMPILER = shutil.which(os.environ.get("CXX", "g++"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_label_smoothing_is_the_published_formula(smoothing: float) -> None:
    network = nn.Linear(5, 4).double()
    forward = Forward(network, Train(label_smoothing=smoothing), CPU)
    x, labels = torch.randn(7, 5).double(), torch.randint(4, (7,))
    wanted = torch.full((7, 4), smoothing / 4, dtype=torch.float64)
    wanted[torch.arange(7), labels] += 1 - smoothing
    expected = -(wanted * network(x).log_softmax(1)).sum(1).mean()
    found = forward.loss(x, [(labels, 1.0)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_shares_of_labels_are_shares_of_the_loss() -> None:
    network = nn.Linear(5, 4).double()
    forward = Forward(network, Train(label_smoothing=0.1), CPU)
    x = torch.randn(7, 5).double()
    one, other = torch.randint(4, (2, 7))
    found = forward.loss(x, [(one, 0.3), (other, torch.tensor(0.7).double())])
    expected = 0.3 * forward.loss(x, [(one, 1.0)]) + 0.7 * forward.loss(x, [(other, 1.0)])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


class Seeing(nn.Module):
    """Notes what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        self.seen = [x, out]
        logits: Tensor = out.mean((2, 3))
        return logits


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_is_that_of_operators_not_of_weights_and_losses(precision: str) -> None:
    network = Seeing()
    forward = Forward(network, Train.model_validate({"precision": precision}), CPU)
    loss = forward.loss(torch.randn(2, 1, 5, 5), [(torch.tensor([0, 1]), 1.0)])
    loss.backward()  # type: ignore[no-untyped-call]
    assert network.seen[1].dtype == getattr(torch, precision)
    assert loss.dtype == network.conv.weight.dtype == torch.float32
    assert network.conv.weight.grad is not None
    assert network.conv.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_reaches_the_operators(channels: int) -> None:
    images = torch.randn(4, channels, 6, 5)
    network = nn.Conv2d(channels, 8, 3)
    before = network.weight.stride()
    for wanted in (False, True):
        forward = Forward(network, Train(channels_last=wanted), CPU)
        laid_out = forward.laid_out(images)
        assert torch.equal(laid_out, images)
        out = network(laid_out)
        assert out.is_contiguous(memory_format=torch.channels_last) == wanted
    assert network.weight.stride() == before


@pytest.mark.parametrize("wanted", [False, True])
def test_a_training_has_the_memory_layout_of_its_settings(wanted: bool) -> None:
    network = fresh()
    layouts: list[bool] = []
    network.get_submodule("stages.2").register_forward_hook(
        lambda module, inputs, out: layouts.append(
            out.is_contiguous(memory_format=torch.channels_last)
        )
    )
    train(network, part(40), Train(epochs=1, channels_last=wanted))
    assert layouts == [wanted]


def test_without_a_compiler_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        DsxError,
        match=r"^train.compile: needs a C\+\+ compiler, and there is no no-such-compiler$",
    ):
        train(fresh(), part(20), Train(compile=True))


@pytest.fixture
def forget_compiled_graphs() -> Iterator[None]:
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("forget_compiled_graphs")
@pytest.mark.slow
# Inductor imports a module of torch that is deprecated by torch.
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.skipif(COMPILER is None, reason="inductor needs a C++ compiler, none found")
def test_compiled_networks_learn_the_same_one_after_the_other() -> None:
    specs = [LEARNED, ConvSpec(binary_basis=4, splits=2), preset("scc")]
    settings = SHORT.model_copy(update={"compile": True, "epochs": 4})
    split = part(300)
    for spec in specs:
        networks = []
        for _ in range(2):
            torch.manual_seed(1)
            networks.append(redesign(Plain(), {"body.2": spec}))
        losses = train(networks[0], split, settings)
        eager = settings.model_copy(update={"compile": False})
        assert losses == pytest.approx(train(networks[1], split, eager), rel=0.05)
        assert losses[-1] < losses[0]
        one, other = (predict(network, split) for network in networks)
        assert float((one == other).float().mean()) > 0.9
