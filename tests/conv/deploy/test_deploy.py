"""A deployed network is the same function, without dsx modules."""

import copy
import time
from collections.abc import Callable, Sequence
from typing import cast

import pytest
import torch
from torch import Tensor, fx, nn

from dsx.conv import ConvSpec, Deployed, DsxConv, build, deploy
from dsx.conv.deploy import Choice
from dsx.conv.timing import Run, medians
from tests.conv.deploy import networks
from tests.conv.deploy.networks import (
    BINARY,
    BINARY_SLIDING,
    BLOCK,
    CORNERS,
    CROSS,
    HET,
    LEARNED,
    RIGID,
    SEPARABLE,
    SLIDING,
    Forked,
    Hooked,
    PadsItself,
    ReadsAttributes,
    Residual,
    Shared,
    Tied,
    Untraceable,
    WithFlag,
    ready,
)

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "cross": lambda: Residual(CROSS),
    "corners": lambda: Residual(CORNERS),
    "het": lambda: Residual(HET),
    "sliding": lambda: Residual(SLIDING),
    "block": lambda: Residual(BLOCK),
    "separable": lambda: Residual(SEPARABLE),
    "binary": lambda: Residual(BINARY),
    "binary sliding": lambda: Residual(BINARY_SLIDING),
    "learned": lambda: Residual(LEARNED),
    "rigid": lambda: Residual(RIGID),
    "shared": Shared,
    "forked": Forked,
    "untraceable": Untraceable,
    "reads attributes": ReadsAttributes,
    "hooked": Hooked,
    "tied": Tied,
    "with flag": WithFlag,
    "one convolution": lambda: networks.redesigned(CORNERS, 3, 8, 3),
    "no convolution": nn.Identity,
}


class Prefer:
    """A timer for which the n-th form is the fastest, and which records its calls."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls: list[tuple[int, float]] = []

    def __call__(self, runs: Sequence[Run], seconds: float) -> list[float]:
        self.calls.append((len(runs), seconds))
        for run in runs:
            run()
        fastest = self.number % len(runs) if len(self.calls) % 2 else 0
        return [1.0 if number == fastest else 2.0 for number in range(len(runs))]


def image(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 9, 7, dtype=torch.float64)


def outputs(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        out: Tensor = copy.deepcopy(network).eval()(x)
    return out


@pytest.mark.parametrize("native", [False, True], ids=["portable", "native"])
@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("name", NETWORKS)
def test_output_is_that_of_the_network(name: str, number: int, native: bool) -> None:
    network, x = ready(NETWORKS[name]()), image()
    deployed = deploy(network, x, timer=Prefer(number), native=native)
    for other in (x, image(1), image(0), -x):
        torch.testing.assert_close(deployed(other), outputs(network, other), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_is_unchanged(name: str) -> None:
    network, x = ready(NETWORKS[name]()), image()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    kinds = [type(module) for module in network.modules()]
    deployed = deploy(network, x, timer=Prefer(1))
    assert [type(module) for module in network.modules()] == kinds
    assert all(module.training for module in network.modules())
    assert all(p.requires_grad for p in network.parameters())
    assert not any(p.requires_grad for p in deployed.parameters())
    assert not any(module.training for module in deployed.modules())
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_parameter_names_are_those_of_the_network() -> None:
    deployed = deploy(ready(Residual(CROSS)), image(), timer=Prefer(0))
    assert {"stem.0.weight", "block1.conv1.weight"} <= set(deployed.network.state_dict())


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "untraceable"])
def test_a_traceable_network_becomes_a_flat_graph_of_torch_modules(name: str) -> None:
    deployed = deploy(ready(NETWORKS[name]()), image(), timer=Prefer(1))
    assert deployed.untraced is None
    assert isinstance(deployed.network, fx.GraphModule)
    for module in deployed.network.modules():
        assert not isinstance(module, DsxConv | nn.Identity | nn.Dropout)
        plain = type(module).__module__.startswith("torch.") or module is deployed.network
        container = type(module) is nn.Module
        assert plain or container, type(module)


FORMS_OF = {
    "cross": CROSS,
    "point": ConvSpec(kernel_shape="point"),
    "corners": CORNERS,
    "het": HET,
    "sliding": SLIDING,
    "block": BLOCK,
    "separable": SEPARABLE,
    "binary": BINARY,
    "learned": LEARNED,
}
FOLDED = {
    "cross": 5,
    "binary": 5,
    "binary sliding": 5,
    "learned": 5,
    "rigid": 5,
    "shared": 0,
    "forked": 0,
    "untraceable": 0,
    "reads attributes": 1,
    "hooked": 1,
    "tied": 2,
}


@pytest.mark.parametrize("name", FOLDED)
def test_batch_norms_are_folded_where_possible(name: str) -> None:
    network = ready(NETWORKS[name]())
    deployed = deploy(network, image(), timer=Prefer(0))
    assert deployed.folded == FOLDED[name]
    before = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    after = sum(isinstance(module, nn.BatchNorm2d) for module in deployed.modules())
    assert after == before - deployed.folded


@pytest.mark.parametrize("by_values", [False, True], ids=["traced", "untraced"])
@pytest.mark.parametrize("name", [*FORMS_OF])
def test_every_form_has_the_attributes_of_the_convolution(name: str, by_values: bool) -> None:
    network, x = ready(PadsItself(FORMS_OF[name], by_values)), image()
    for number in range(6):
        deployed = deploy(network, x, timer=Prefer(number))
        assert (deployed.untraced is not None, deployed.sized) == (by_values, not by_values)
        torch.testing.assert_close(deployed(x), outputs(network, x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_a_network_that_reads_the_size_of_its_images_is_deployed_for_batches_of_any_length(
    number: int,
) -> None:
    network = ready(PadsItself(CROSS, by_values=False))
    deployed = deploy(network, image(), timer=Prefer(0))
    images = image(number)
    torch.testing.assert_close(deployed(images), outputs(network, images), rtol=1e-10, atol=1e-10)


class Adapting(nn.Module):
    """A network that keeps a batch norm in train mode, also after eval()."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def train(self, mode: bool = True) -> "Adapting":
        super().train(mode)
        self.norm.train()
        return self

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


def test_a_module_in_train_mode_remains_so_when_deployed() -> None:
    network, x = ready(Adapting()), image()
    deployed = deploy(network, x)
    assert (deployed.folded, deployed.unfolded, deployed.training) == (0, 1, False)
    torch.testing.assert_close(deployed(x), outputs(network, x), rtol=1e-10, atol=1e-10)


def test_the_reason_why_a_network_cannot_be_traced_is_reported() -> None:
    deployed = deploy(ready(Untraceable()), image(), timer=Prefer(0))
    assert deployed.untraced is not None
    assert "TraceError: symbolically traced variables cannot be used" in deployed.untraced
    assert set(deployed.choices) == {"conv"}
    network = cast(Untraceable, deployed.network)
    assert not isinstance(network.conv, DsxConv)
    # It is never called, so that its input is unknown.
    assert isinstance(network.unused, DsxConv)
    assert not network.unused._forward_pre_hooks


def test_choices_are_keyed_by_name() -> None:
    deployed = deploy(ready(Residual(SLIDING)), image(), timer=Prefer(0))
    names = {"block1.conv1", "block1.conv2", "block2.conv1", "block2.conv2"}
    assert set(deployed.choices) == names
    assert set(deploy(ready(Shared()), image(), timer=Prefer(0)).choices) == {
        "twice", "one", "other"
    }  # fmt: skip


def test_the_form_cache_is_used_and_extended() -> None:
    network, x = ready(Residual(SLIDING)), image()
    timer, form_cache = Prefer(1), dict[str, Choice]()
    first = deploy(network, x, timer=timer, form_cache=form_cache)
    # conv2 of both blocks has the same situation.
    assert len(form_cache) == 3
    timed = len(timer.calls)
    assert timed >= 3
    second = deploy(network, x, timer=timer, form_cache=form_cache)
    assert len(timer.calls) == timed
    assert second.choices == first.choices
    assert len(form_cache) == 3
    deploy(network, image(1), timer=timer, form_cache=form_cache)
    assert len(form_cache) == 6


def test_a_cached_choice_is_used_unless_its_form_does_not_exist() -> None:
    network, x = ready(Residual(SLIDING)), image()
    form_cache = dict[str, Choice]()
    deploy(network, x, timer=Prefer(1), form_cache=form_cache)
    for key in form_cache:
        form_cache[key] = Choice(form="dense", seconds={})
    deployed = deploy(network, x, timer=Prefer(1), form_cache=form_cache)
    assert {choice.form for choice in deployed.choices.values()} == {"dense"}
    for key in form_cache:
        form_cache[key] = Choice(form="removed", seconds={})
    deployed = deploy(network, x, timer=Prefer(1), form_cache=form_cache)
    assert "removed" not in {choice.form for choice in deployed.choices.values()}
    assert "removed" not in {choice.form for choice in form_cache.values()}


def test_a_convolution_called_twice_is_timed_on_its_larger_input() -> None:
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = networks.redesigned(CORNERS, 3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            small = self.conv(x[:, :, ::2, ::2])
            out: Tensor = self.conv(x) + nn.functional.interpolate(small, x.shape[2:])
            return out

    form_cache = dict[str, Choice]()
    deploy(ready(Pyramid()), image(2), timer=Prefer(0), form_cache=form_cache)
    (situation,) = form_cache
    assert '"input": [2, 3, 9, 7]' in situation


def test_a_single_convolution_is_deployed() -> None:
    for spec in (SLIDING, CORNERS, SEPARABLE):
        deployed = deploy(networks.redesigned(spec, 4, 8, 3), torch.randn(1, 4, 9, 9))
        assert set(deployed.choices) == {""}
        assert deployed.untraced is None
        assert not any(isinstance(module, DsxConv) for module in deployed.modules())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", ["sliding", "shared", "separable"])
def test_float32_and_layouts(name: str, memory_format: torch.memory_format) -> None:
    network = ready(NETWORKS[name]()).float()
    x = image().float().to(memory_format=memory_format)
    deployed = deploy(network, x, timer=Prefer(1))
    # Folding adds one rounding of each weight, in a few layers.
    torch.testing.assert_close(deployed(x), outputs(network, x), rtol=1e-4, atol=1e-4)


def test_deployment_in_inference_mode() -> None:
    network, x = ready(Residual(SLIDING)), image()
    with torch.inference_mode():
        deployed = deploy(network, x, timer=Prefer(0))
    # Inference tensors could not be modified or trained later.
    assert not any(tensor.is_inference() for tensor in deployed.state_dict().values())
    torch.testing.assert_close(deployed(x), outputs(network, x), rtol=1e-10, atol=1e-10)


def test_a_copy_of_a_deployed_network_is_equal() -> None:
    network, x = ready(Residual(SLIDING)), image()
    deployed = deploy(network, x, timer=Prefer(1))
    copied = copy.deepcopy(deployed)
    assert isinstance(copied, Deployed)
    torch.testing.assert_close(copied(x), deployed(x), rtol=0, atol=0)
    assert copied.choices == deployed.choices


def test_time_per_new_situation(capsys: pytest.CaptureFixture[str]) -> None:
    network = build(SLIDING, nn.Conv2d(64, 64, 3, padding=1))
    form_cache = dict[str, Choice]()
    begin = time.perf_counter()
    deployed = deploy(network, torch.randn(1, 64, 16, 16), timer=medians, form_cache=form_cache)
    seconds = time.perf_counter() - begin
    with capsys.disabled():
        print(
            f"\n[deploy: {seconds / len(form_cache):.3f} s per new situation at batch 1]", end=" "
        )
    assert set(deployed.choices) == {""}


def test_grouped_convolutions_of_the_network_have_deployed_forms() -> None:
    network = ready(
        nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
            nn.BatchNorm2d(4),
            nn.Conv2d(4, 8, 3, groups=2),
            nn.Conv2d(8, 8, 1),
        )
    )
    x = torch.randn(2, 4, 6, 5, dtype=torch.float64)
    state = torch.get_rng_state()
    # For this timer the last form is the fastest.
    deployed = deploy(network, x, timer=lambda runs, seconds: [1.0] * (len(runs) - 1) + [0.1])
    assert torch.equal(torch.get_rng_state(), state)
    assert deployed.choices.keys() == {"0", "2"}
    assert all({"dense", "grouped"} <= c.seconds.keys() for c in deployed.choices.values())
    torch.testing.assert_close(deployed(x), network.eval()(x), rtol=0, atol=1e-10)
