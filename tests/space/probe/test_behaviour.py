"""Networks that violate the assumptions about eval mode are rejected with a description."""

import random
import re

import numpy as np
import pytest
import torch

from dsx.conv.network_calls import set_mode
from dsx.errors import DsxError
from dsx.space.network.network import copy_network
from dsx.space.probe.behaviour import check_behaviour, check_state, random_sources
from tests.space import odd_networks
from tests.space.networks import Drawing, OneByOne, ReturnsNothing, Tiny

IMAGES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
DIFFERENT = "the network returns different outputs for the same images in eval mode: "


@pytest.mark.parametrize(
    "kind",
    [
        odd_networks.Odd, odd_networks.CountingOnly, odd_networks.ZeroHead, odd_networks.Logarithm,
        odd_networks.Extra, odd_networks.Complex, Tiny, Drawing, OneByOne, ReturnsNothing,
    ],
)  # fmt: skip
def test_a_function_of_weights_and_image_passes_unchanged(kind: type[Tiny]) -> None:
    network = kind()
    before = {
        name: tensor.clone()
        for name, tensor in network.state_dict().items()
        if isinstance(tensor, torch.Tensor)
    }
    assert check_behaviour(network, IMAGES) == []
    assert network.training
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("kind", [odd_networks.Seldom, odd_networks.SeldomPython])
def test_rare_randomness_is_detected(kind: type[Tiny]) -> None:
    before = np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]
    with pytest.raises(DsxError, match="returns different outputs for the same images"):
        check_behaviour(kind(), IMAGES)
    assert (before[0] == np.random.get_state()[1]).all()  # type: ignore[index]
    assert before[1] == random.getstate()


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (odd_networks.Dropping, f"{DIFFERENT}aten.bernoulli_ draws random numbers; pass "
         "training=self.training to F.dropout"),
        (odd_networks.Noisy, f"{DIFFERENT}aten.randn_like draws random numbers; draw them in train "
         "mode only"),
        (odd_networks.Chance, f"{DIFFERENT}random draws random numbers; draw them in train"),
        (odd_networks.Counting, f"{DIFFERENT}each run changes calls; change it in train mode only"),
        (odd_networks.Constant, "its output does not depend on the image"),
        (odd_networks.NoNumber, "its output contains NaN in eval mode for all images"),
        (odd_networks.AlwaysTraining, "its batch norm body.1 is in train mode after eval()"),
    ],
)  # fmt: skip
def test_networks_that_violate_an_assumption_are_rejected(
    kind: type[odd_networks.Odd], problem: str
) -> None:
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}"):
        check_behaviour(kind(), IMAGES)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (odd_networks.BatchStatistics, "norms without running statistics, which use the"),
        (odd_networks.Mixing, "its code combines images of the batch"),
        (odd_networks.InstanceNormed, "its code combines images of the batch"),
        (
            odd_networks.FunctionalBatchStatistics,
            "normalisations by the statistics of the batch, as F.batch_norm with training=True: 1",
        ),
    ],
)
def test_a_network_that_depends_on_the_batch_is_named(
    kind: type[odd_networks.Odd], reason: str
) -> None:
    (note,) = check_behaviour(kind(), IMAGES)
    assert f"depends on the other images of its batch ({reason}" in note


def trained(network: odd_networks.Odd) -> odd_networks.Odd:
    """Return a copy of a network that has processed images in train mode."""
    twin = copy_network(network)
    assert isinstance(twin, odd_networks.Odd)
    set_mode(twin, True)(IMAGES)
    return twin


@pytest.mark.parametrize("kind", [odd_networks.Odd, odd_networks.Extra, odd_networks.Counting])
def test_a_complete_state_passes(kind: type[odd_networks.Odd]) -> None:
    network = kind()
    check_state(network, trained(network), IMAGES)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (
            odd_networks.Forgetting,
            "its state_dict() does not contain everything that training changes",
        ),
        (odd_networks.NoState, "its state_dict() returns a NoneType, not a dict"),
        (odd_networks.PartOfState, "it cannot load its own state_dict(): RuntimeError: "),
    ],
)
def test_an_incomplete_state_is_rejected(kind: type[odd_networks.Odd], problem: str) -> None:
    network = kind()
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}"):
        check_state(network, trained(network), IMAGES)


@pytest.mark.parametrize("kind", ["python", "numpy", "legacy"])
def test_a_generator_that_the_network_holds_is_named(kind: str) -> None:
    problem = f"{DIFFERENT}the generator in 'held' draws random numbers; draw them in train mode"
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}"):
        check_behaviour(odd_networks.OwnGenerator(kind), IMAGES)


@pytest.mark.parametrize(
    ("network", "source", "advice"),
    [
        (odd_networks.SeldomDropping(), "aten.bernoulli_", "training=self.training to F.dropout"),
        (odd_networks.OwnGenerator(share=0.0), "the generator in 'held'", "draw them in train"),
        (odd_networks.Reseeding(), "aten.rand_like", "draw them in train mode only"),
        (odd_networks.Reseeding("own"), "aten.rand", "draw them in train mode only"),
    ],
)
def test_random_numbers_without_visible_effect_are_noted(
    network: odd_networks.Odd, source: str, advice: str
) -> None:
    with torch.random.fork_rng():
        (note,) = check_behaviour(network, IMAGES)
    assert note.startswith(f"in eval mode {source} draws random numbers; 17 runs returned the same")
    assert advice in note
    assert random_sources(network, IMAGES) == f"{source} draws"


def test_operators_that_draw_in_train_mode_only_are_not_noted() -> None:
    assert check_behaviour(odd_networks.IdleDropping(), IMAGES) == []
    assert random_sources(odd_networks.IdleDropping(), IMAGES) is None


def test_differences_without_random_numbers_are_reported() -> None:
    class Growing(odd_networks.Odd):
        factor = 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.factor += 1
            return super().forward(x) * self.factor

    with pytest.raises(DsxError, match="its forward may depend on the time, or on an attribute"):
        check_behaviour(Growing(), IMAGES)
