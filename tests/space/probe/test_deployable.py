"""A network that cannot be timed is refused before the first trial."""

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, deploy
from dsx.conv.deploy._choose import candidates
from dsx.conv.modules.fixed import FixedConv2d
from dsx.errors import DsxError
from dsx.space import redesign
from dsx.space.probe.deployable import check_deployed

SPECS = {"conv": ConvSpec(kernel_shape="corners")}


class Reading(nn.Module):
    """Reads something of a convolution, and does what depends on the numbers."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = -x if x.sum() > 0 else x
        out: Tensor = self.conv(x) * float(getattr(self.conv, self.name) is not None)
        return out


def images() -> Tensor:
    """Return two images."""
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_attributes_of_a_convolution_may_be_read() -> None:
    check_deployed(redesign(Reading("stride"), SPECS).eval(), images())


def test_a_form_without_what_is_read_is_found() -> None:
    network = redesign(Reading("weight"), SPECS).eval()
    problem = r"^deployed, the network does not run on an input of 2 x 3 x 8 x 8: AttributeError"
    with pytest.raises(DsxError, match=problem):
        check_deployed(network, images())


def test_every_form_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    network = redesign(Reading("stride"), SPECS).eval()
    (conv,) = [module for module in network.modules() if isinstance(module, FixedConv2d)]
    tried = list[str]()

    def noted(*args: object, **named: object) -> object:
        deployed = deploy(*args, **named)  # type: ignore[arg-type]
        tried.extend(choice.form for choice in deployed.slot_options.values())
        return deployed

    monkeypatch.setattr("dsx.space.probe.deployable.deploy", noted)
    check_deployed(network, images())
    assert set(tried) == set(candidates(conv, native=False))


class Fickle(nn.Module):
    """Computes something else with another module in its slot."""

    def __init__(self, change: str) -> None:
        super().__init__()
        self.change = change
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(-x if x.sum() > 0 else x)
        if isinstance(self.conv, FixedConv2d):
            return out
        return out[:, :, 0] if self.change == "shape" else out * 1.01


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("shape", "deployed, the network returns 2 x 8 x 6 numbers, not 2 x 8 x 6 x 6"),
        ("value", "deployed, the network computes something else: the outputs differ by "),
    ],
)
def test_a_network_that_computes_something_else_is_refused(change: str, problem: str) -> None:
    network = redesign(Fickle(change), SPECS).eval()
    with pytest.raises(DsxError, match=problem):
        check_deployed(network, images())


class Logarithm(nn.Module):
    """Gives no number for negative images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x.log())
        return out


def test_what_is_no_number_in_both_is_equal() -> None:
    check_deployed(redesign(Logarithm(), SPECS).eval(), images())
