"""Validation of the arguments of the networks of dsx."""

import pytest
import torch

from dsx.errors import DsxError
from dsx.lookup import find, names
from dsx.nets import Net, network_builder

NETS = names(Net)
ALLOWED = r"does not fit \(allowed: an integer from 1 to 65,536\)$"


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("argument", ["classes", "in_channels"])
@pytest.mark.parametrize("value", [0, -1, 65_537, 1.5, True, None, "10", [10], 10**30])
def test_invalid_sizes_are_rejected(name: str, argument: str, value: object) -> None:
    with pytest.raises(DsxError, match=rf"^{argument}: .* {ALLOWED}"):
        network_builder(name)(**{argument: value})


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("resnet18", {"small": 1}, r"^small: 1 does not fit \(allowed: true, false\)$"),
        ("resnet18", {"small": None}, r"^small: null does not fit \(allowed: true, false\)$"),
        ("vgg11", {"batch_norm": "yes"}, r'^batch_norm: "yes" does not fit \(allowed: true, fa'),
        ("small_cnn", {"wdth": 3}, r"^no argument of small_cnn called 'wdth' .* mean 'width'\?$"),
        ("resnet18", {"block": 3}, r"^no argument of resnet18 called 'block' \(allowed: classes,"),
        ("small_cnn", {"width": 65_536}, r"^small_cnn would have [0-9,]{15,} weights .* 500,000,0"),
    ],
)
def test_other_invalid_arguments_are_rejected(
    name: str, arguments: dict[str, object], problem: str
) -> None:
    with pytest.raises(DsxError, match=problem):
        network_builder(name)(**arguments)


def test_validation_does_not_change_the_weights() -> None:
    torch.manual_seed(0)
    direct = find(Net, "small_cnn").build(width=4, classes=7)
    torch.manual_seed(0)
    checked = network_builder("small_cnn")(width=4, classes=7)
    for one, other in zip(direct.parameters(), checked.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_argument_can_be_none_if_the_network_allows_it() -> None:
    assert network_builder("vgg11")(small=True, batch_norm=None)
