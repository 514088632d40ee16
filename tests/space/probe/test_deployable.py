"""A network that cannot be deployed is rejected before the first trial."""

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
    """Network that reads an attribute of a convolution and has data-dependent control flow."""

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


def test_a_form_without_a_required_attribute_is_rejected() -> None:
    network = redesign(Reading("weight"), SPECS).eval()
    problem = r"^deployed, the network does not run on an input of 2 x 3 x 8 x 8: AttributeError"
    with pytest.raises(DsxError, match=problem):
        check_deployed(network, images())


def test_every_form_is_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = redesign(Reading("stride"), SPECS).eval()
    (conv,) = [module for module in network.modules() if isinstance(module, FixedConv2d)]
    tried = list[str]()

    def recorded(*args: object, **kwargs: object) -> object:
        deployed = deploy(*args, **kwargs)  # type: ignore[arg-type]
        tried.extend(choice.form for choice in deployed.choices.values())
        return deployed

    monkeypatch.setattr("dsx.space.probe.deployable.deploy", recorded)
    check_deployed(network, images())
    assert set(tried) == set(candidates(conv, native=False))


class Fickle(nn.Module):
    """Network that computes another output if another module is in its slot."""

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
        ("shape", "deployed, the network returns 2 x 8 x 6 values, not 2 x 8 x 6 x 6"),
        ("value", "deployed, the network computes another output: it differs by "),
    ],
)
def test_a_network_that_computes_another_output_is_rejected(change: str, problem: str) -> None:
    network = redesign(Fickle(change), SPECS).eval()
    with pytest.raises(DsxError, match=problem):
        check_deployed(network, images())


class Logarithm(nn.Module):
    """Network that returns NaN for negative images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x.log())
        return out


def test_nan_in_both_outputs_is_equal() -> None:
    check_deployed(redesign(Logarithm(), SPECS).eval(), images())
