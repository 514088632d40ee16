"""Networks that violate the assumptions about eval mode are refused with a description."""

import random
import re

import numpy as np
import pytest
import torch

from dsx.conv.network_calls import set_mode
from dsx.errors import DsxError
from dsx.space.network.network import copied
from dsx.space.probe.behaviour import check_behaviour, check_state, why_random
from tests.space import odd_networks
from tests.space.networks import Drawing, OneByOne, ReturnsNothing, Tiny

IMAGES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
AGAIN = "the network gives other outputs for the same images when it is run again in eval mode: "


@pytest.mark.parametrize(
    "kind",
    [
        odd_networks.Odd, odd_networks.CountingOnly, odd_networks.ZeroHead, odd_networks.Logarithm,
        odd_networks.Extra, odd_networks.Complex, Tiny, Drawing, OneByOne, ReturnsNothing,
    ],
)  # fmt: skip
def test_a_function_of_weights_and_image_passes_and_is_left_alone(kind: type[Tiny]) -> None:
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
def test_what_is_seldom_random_is_noticed(kind: type[Tiny]) -> None:
    before = np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]
    with pytest.raises(DsxError, match="gives other outputs for the same images"):
        check_behaviour(kind(), IMAGES)
    assert (before[0] == np.random.get_state()[1]).all()  # type: ignore[index]
    assert before[1] == random.getstate()


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (odd_networks.Dropping, f"{AGAIN}aten.bernoulli_ draws random numbers; F.dropout drops in "
         "eval mode too, unless it is given training=self.training"),
        (odd_networks.Noisy, f"{AGAIN}aten.randn_like draws random numbers; let it draw in train "
         "mode only (if self.training)"),
        (odd_networks.Chance, f"{AGAIN}random draws random numbers; let it draw in train"),
        (odd_networks.Counting, f"{AGAIN}each run changes calls; let it change in train mode only"),
        (odd_networks.Constant, "its output does not depend on the image"),
        (odd_networks.NoNumber, "its output contains NaN in eval mode, whatever the image"),
        (odd_networks.AlwaysTraining, "its batch norm body.1 is in train mode after eval()"),
    ],
)  # fmt: skip
def test_what_is_no_such_function_is_refused(kind: type[odd_networks.Odd], problem: str) -> None:
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}"):
        check_behaviour(kind(), IMAGES)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (odd_networks.BatchStatistics, "1 norms without running statistics, such as body.1"),
        (odd_networks.Mixing, "its code mixes images"),
        (odd_networks.InstanceNormed, "its code mixes images"),
        (
            odd_networks.FunctionalBatchStatistics,
            "it normalises by the statistics of the batch "
            "once, as F.batch_norm does with training=True",
        ),
    ],
)
def test_a_network_that_depends_on_the_batch_is_named(
    kind: type[odd_networks.Odd], reason: str
) -> None:
    (note,) = check_behaviour(kind(), IMAGES)
    assert f"depends on the other images of its batch ({reason}" in note


def trained(network: odd_networks.Odd) -> odd_networks.Odd:
    """Copy a network that has then seen images in train mode."""
    twin = copied(network)
    assert isinstance(twin, odd_networks.Odd)
    set_mode(twin, True)(IMAGES)
    return twin


@pytest.mark.parametrize("kind", [odd_networks.Odd, odd_networks.Extra, odd_networks.Counting])
def test_a_state_that_holds_all_passes(kind: type[odd_networks.Odd]) -> None:
    network = kind()
    check_state(network, trained(network), IMAGES)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (odd_networks.Forgetting, "its state_dict() does not hold all that training changes"),
        (odd_networks.NoState, "its state_dict() returns a NoneType, not a dict"),
        (odd_networks.PartOfState, "it cannot load its own state_dict(): RuntimeError: "),
    ],
)
def test_a_state_that_leaves_something_out_is_refused(
    kind: type[odd_networks.Odd], problem: str
) -> None:
    network = kind()
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}"):
        check_state(network, trained(network), IMAGES)


@pytest.mark.parametrize("kind", ["python", "numpy", "legacy"])
def test_a_generator_that_the_network_holds_is_named(kind: str) -> None:
    problem = f"{AGAIN}the generator in 'held' draws random numbers; let it draw in train mode only"
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}"):
        check_behaviour(odd_networks.OwnGenerator(kind), IMAGES)


@pytest.mark.parametrize(
    ("network", "drawn", "advice"),
    [
        (odd_networks.SeldomDropping(), "aten.bernoulli_", "F.dropout drops in eval mode too"),
        (odd_networks.OwnGenerator(share=0.0), "the generator in 'held'", "let it draw in train"),
        (odd_networks.Reseeding(), "aten.rand_like", "let it draw in train mode only"),
        (odd_networks.Reseeding("own"), "aten.rand", "let it draw in train mode only"),
    ],
)
def test_random_numbers_that_have_not_been_seen_to_matter_are_noted(
    network: odd_networks.Odd, drawn: str, advice: str
) -> None:
    with torch.random.fork_rng():
        (note,) = check_behaviour(network, IMAGES)
    assert note.startswith(f"in eval mode {drawn} draws random numbers, though 17 runs gave the")
    assert advice in note
    assert why_random(network, IMAGES) == f"{drawn} draws"


def test_operators_that_draw_in_train_mode_only_are_not_noted() -> None:
    assert check_behaviour(odd_networks.IdleDropping(), IMAGES) == []
    assert why_random(odd_networks.IdleDropping(), IMAGES) is None


def test_what_neither_torch_nor_a_generator_draws_is_something_else() -> None:
    class Growing(odd_networks.Odd):
        factor = 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.factor += 1
            return super().forward(x) * self.factor

    with pytest.raises(DsxError, match="so its forward may read the time, or an attribute"):
        check_behaviour(Growing(), IMAGES)
