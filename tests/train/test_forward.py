"""The loss of a batch: formulas, precision, memory layout and compiled networks."""

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
from tests.train.networks import LEARNED, SHORT, Plain, digits, fresh

CPU = torch.device("cpu")
COMPILER = shutil.which(os.environ.get("CXX", "g++"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_label_smoothing_is_the_published_formula(smoothing: float) -> None:
    network = nn.Linear(5, 4).double()
    forward = Forward(network, Train(label_smoothing=smoothing), CPU)
    x, labels = torch.randn(7, 5).double(), torch.randint(4, (7,))
    target = torch.full((7, 4), smoothing / 4, dtype=torch.float64)
    target[torch.arange(7), labels] += 1 - smoothing
    expected = -(target * network(x).log_softmax(1)).sum(1).mean()
    found = forward.loss(x, [(labels, 1.0)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_weights_of_labels_are_weights_of_the_loss() -> None:
    network = nn.Linear(5, 4).double()
    forward = Forward(network, Train(label_smoothing=0.1), CPU)
    x = torch.randn(7, 5).double()
    one, other = torch.randint(4, (2, 7))
    found = forward.loss(x, [(one, 0.3), (other, torch.tensor(0.7).double())])
    expected = 0.3 * forward.loss(x, [(one, 1.0)]) + 0.7 * forward.loss(x, [(other, 1.0)])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


class Recording(nn.Module):
    """A network that stores its input and the output of its convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.tensors: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        self.tensors = [x, out]
        logits: Tensor = out.mean((2, 3))
        return logits


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_applies_to_operators_but_not_to_weights_and_losses(precision: str) -> None:
    network = Recording()
    forward = Forward(network, Train.model_validate({"precision": precision}), CPU)
    loss = forward.loss(torch.randn(2, 1, 5, 5), [(torch.tensor([0, 1]), 1.0)])
    loss.backward()  # type: ignore[no-untyped-call]
    assert network.tensors[1].dtype == getattr(torch, precision)
    assert loss.dtype == network.conv.weight.dtype == torch.float32
    assert network.conv.weight.grad is not None
    assert network.conv.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_reaches_the_operators(channels: int) -> None:
    images = torch.randn(4, channels, 6, 5)
    network = nn.Conv2d(channels, 8, 3)
    before = network.weight.stride()
    for channels_last in (False, True):
        forward = Forward(network, Train(channels_last=channels_last), CPU)
        to_memory_layout = forward.to_memory_layout(images)
        assert torch.equal(to_memory_layout, images)
        out = network(to_memory_layout)
        assert out.is_contiguous(memory_format=torch.channels_last) == channels_last
    assert network.weight.stride() == before


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_training_uses_the_memory_layout_of_its_settings(channels_last: bool) -> None:
    network = fresh()
    layouts: list[bool] = []
    network.get_submodule("stages.2").register_forward_hook(
        lambda module, inputs, out: layouts.append(
            out.is_contiguous(memory_format=torch.channels_last)
        )
    )
    train(network, digits(40), Train(epochs=1, channels_last=channels_last))
    assert layouts == [channels_last]


def test_a_missing_compiler_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        DsxError,
        match=r"^train.compile: requires a C\+\+ compiler, but no-such-compiler was not found$",
    ):
        train(fresh(), digits(20), Train(compile=True))


@pytest.fixture
def reset_compiler() -> Iterator[None]:
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("reset_compiler")
@pytest.mark.slow
# Inductor imports a deprecated module of torch.
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.skipif(COMPILER is None, reason="inductor requires a C++ compiler")
def test_compiled_networks_are_trained_to_the_same_result() -> None:
    specs = [LEARNED, ConvSpec(binary_basis=4, splits=2), preset("scc")]
    settings = SHORT.model_copy(update={"compile": True, "epochs": 4})
    split = digits(300)
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
