"""Small search spaces, and a trained design with the estimates of a search."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import Tensor

from dsx.analysis.estimate import Estimate
from dsx.conv import ConvSpec
from dsx.measure import Candidate
from dsx.space import Design, SearchSpace
from dsx.space.space import build_space
from dsx.train import predict

TEXT = """
model: {model}
data: digits
train: {{epochs: 1, batch_size: 128, learning_rate: 0.1}}
measure: {{dtype: {dtype}, deploy: {deploy}}}
slots: [{{match: "*", kernel_shape: [cross, point], groups: [1, 2], channel_stride: [block, 0.5]}}]
objectives: {{accuracy: maximize}}
"""
MakeSpace = Callable[..., SearchSpace]


@dataclass(frozen=True)
class Searched:
    """A trained design with its weights and its estimates."""

    space: SearchSpace
    design: Design
    weights: dict[str, Tensor]
    metrics: dict[str, Estimate]


def make_space(
    model: str = "small_cnn", dtype: str = "float32", deploy: str = "portable"
) -> SearchSpace:
    if model == "small_cnn":
        model += "\nmodel_args: {width: 4}"
    return build_space("own", "own.yaml", TEXT.format(model=model, dtype=dtype, deploy=deploy))


def cross_design(space: SearchSpace) -> Design:
    """Return a design with cross shapes and a sliding window in the second convolution."""
    slot = space.analysis.slots[1].name
    spec = ConvSpec(kernel_shape="cross", groups=2, channel_stride=0.5)
    return space.design({slot: spec})


def exact(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value)


def search(space: SearchSpace, design: Design) -> Searched:
    candidate = Candidate(space, design)
    network = candidate.trained()
    validation = candidate.splits.validation
    hits = (predict(network, validation) == validation.labels).double().mean()
    weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    return Searched(space, design, weights, {"accuracy": exact(float(hits))})


@pytest.fixture(scope="session")
def searched() -> Searched:
    space = make_space()
    return search(space, cross_design(space))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Path of an export that does not exist yet, in an empty folder."""
    return tmp_path / "chosen"
