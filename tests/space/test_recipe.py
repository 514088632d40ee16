"""Networks without normalisation layers get training settings that suit them."""

from typing import Any

import pytest
import torch
from torch import nn

from dsx.data import open_data
from dsx.space import draft_space
from dsx.space.recipe import fit_training, is_normalised
from dsx.space.space import build_space
from dsx.space.yaml.schema import Train, parse_space
from dsx.space.yaml.source import read_source
from dsx.train import predict, train
from tests.space.networks import LeNet, Plain, Tiny

SMALL = (1, 8, 8)
RECIPE: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 0.01, "clip": 1.0}


@pytest.mark.parametrize(
    ("layers", "normalised"),
    [
        ([nn.Conv2d(1, 2, 3)], False),
        ([nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)], True),
        ([nn.Conv2d(1, 2, 3), nn.LazyBatchNorm2d()], True),
        ([nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2)], True),
        ([nn.Conv2d(1, 2, 3), nn.InstanceNorm2d(2), nn.Conv2d(2, 2, 3)], True),
        ([*(nn.Conv2d(2, 2, side) for side in (1, 2, 3)), nn.LayerNorm(2)], False),
        ([nn.Linear(2, 2)], True),
    ],
)  # fmt: skip
def test_a_network_is_normalised_with_half_as_many_norms_as_convolutions(
    layers: list[nn.Module], normalised: bool
) -> None:
    assert is_normalised(nn.Sequential(*layers)) is normalised


@pytest.mark.parametrize(
    "given",
    [{"learning_rate": 0.3}, {"optimizer": "adamw"}, {"optimizer": "sgd"}, {"momentum": 0.5},
     {"clip": 2.0}],
)  # fmt: skip
def test_settings_of_the_file_are_kept(given: dict[str, Any]) -> None:
    settings = Train(**given)
    assert fit_training(settings, Tiny(), SMALL) == settings


def test_only_the_optimiser_settings_are_completed() -> None:
    found = fit_training(Train(epochs=3, seed=7), Tiny(), SMALL)
    assert found == Train(epochs=3, seed=7, **RECIPE)
    assert fit_training(Train(), Tiny(), (3, 224, 224)).learning_rate == 0.002
    assert (
        fit_training(Train(), nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), SMALL)
        == Train()
    )


def test_a_space_without_a_learning_rate_gets_a_suitable_one() -> None:
    rest = "slots: [{match: '*', groups: [1, 2]}]\nobjectives: {accuracy: maximize}\n"
    for model, settings in (
        ("tests.space.networks:LeNet", RECIPE),
        ("small_cnn", {"optimizer": "sgd", "learning_rate": 0.2, "clip": None}),
    ):
        file = build_space("s", "s.yaml", f"model: {model}\ndata: digits\n{rest}").file
        assert settings.items() <= file.train.model_dump().items()


@pytest.mark.parametrize("model", [LeNet, Plain])
def test_a_drafted_training_exceeds_chance_without_batch_norm(model: type[nn.Module]) -> None:
    text = draft_space(f"tests.space.networks:{model.__name__}", {}, SMALL).text
    settings = parse_space(read_source("draft.yaml", text)).train
    assert RECIPE.items() <= settings.model_dump().items()
    splits = open_data("digits", {}).splits
    torch.manual_seed(0)
    network = model()
    train(network, splits.train, settings)
    hits = (predict(network, splits.validation) == splits.validation.labels).float().mean()
    # Chance level is 12 %.
    assert hits > 0.6
