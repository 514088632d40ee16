"""Parameters of a deployed network, compared with counts by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, deploy
from dsx.measure.metrics.deployed_params import METRIC, count_params
from dsx.space import redesign
from tests.export.always import Always
from tests.measure.candidates import SMALL, candidate
from tests.measure.facts import deployment

CROSS = ConvSpec(kernel_shape="cross")
BASIS = ConvSpec(binary_basis=2, splits=2, scale=True)


class Net(nn.Module):
    """A convolution with a batch norm and an additional buffer."""

    def __init__(self, last: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        self.register_buffer("constants", torch.ones(16, 1, 1))
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.bn(self.conv(x)) * self.constants)


def held(spec: ConvSpec, form: str) -> int:
    network = redesign(Net(), {"conv": spec})
    deployed = deploy(network, torch.zeros(1, 8, 6, 6), form_cache=Always(form))
    assert [choice.form for choice in deployed.choices.values()] == [form]
    return count_params(deployed.network, deployed.choices)


@pytest.mark.parametrize(
    ("spec", "form", "number"),
    [
        # The dense form includes dead positions; folding replaces the batch norm by a bias.
        (CROSS, "dense", 16 * 8 * 9 + 16),
        (CROSS, "shifted", 16 * 8 * 5 + 16),
        # 2 filters of 4 channels and 9 positions, a scale and a bias.
        (BASIS, "maps_merge", 2 * 4 * 9 + 32),
        (BASIS, "rebuilt", 2 * 4 * 9 + 32),
        (BASIS, "dense", 16 * 8 * 9 + 16),
    ],
)
def test_params_of_each_form(spec: ConvSpec, form: str, number: int) -> None:
    assert held(spec, form) == number


def test_scale_and_shift_of_an_unfolded_batch_norm_are_counted() -> None:
    def branch(x: Tensor) -> Tensor:
        return -x if x.sum() > 0 else x

    deployed = deploy(Net(branch), torch.zeros(1, 8, 6, 6))
    assert deployed.untraced is not None
    assert count_params(deployed.network, deployed.choices) == 16 * 8 * 9 + 2 * 16


def test_reading_is_exact_and_lists_the_forms() -> None:
    one = candidate(SMALL, {"stages.0.conv1": CROSS})
    one.form_cache = Always("dense")
    reading, plain = METRIC.read(one), METRIC.read(candidate(SMALL))
    assert reading.low == reading.value == reading.high == plain.value
    assert deployment(reading).forms == {"stages.0.conv1": "dense"}
    assert reading.value > one.cost.params
