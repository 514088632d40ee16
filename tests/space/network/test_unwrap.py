"""Networks inside the wrappers of torch: taken out, or refused at once."""

import re

import pytest
import torch
from torch import nn

from dsx.errors import DsxError
from dsx.space.network.model import build_model, build_with_notes
from tests.space import odd_networks

HERE = "tests.space.odd_networks"
SHAPE = (1, 8, 8)


@pytest.mark.parametrize(
    ("name", "wrapped"),
    [
        ("compiled", "the network (OptimizedModule)"),
        ("parallel", "the network (DataParallel)"),
        ("averaged", "the network (AveragedModel, OptimizedModule)"),
        ("parallel_part", "body (DataParallel)"),
        ("compiled_part", "body (OptimizedModule)"),
    ],
)
# Of torch's own compiler, when it is imported.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_network_inside_is_taken(name: str, wrapped: str) -> None:
    network, notes = build_with_notes(f"{HERE}:{name}", {}, SHAPE)
    assert notes == (f"taken out of wrappers that neither compute nor train: {wrapped}",)
    assert type(network) is odd_networks.Odd
    plain = build_model(f"{HERE}:Odd", {}, SHAPE)
    assert network.state_dict().keys() == plain.state_dict().keys()
    images = torch.ones(2, *SHAPE)
    assert torch.equal(network.eval()(images), plain.eval()(images))


def test_a_network_of_the_user_stays_wrapped() -> None:
    network = nn.Sequential(nn.DataParallel(odd_networks.Odd()))
    odd_networks.KEPT.append(network)
    build_model(f"{HERE}:kept", {}, SHAPE)
    assert isinstance(odd_networks.KEPT.pop().get_submodule("0"), nn.DataParallel)


@pytest.mark.parametrize("name", ["Odd", "traced"])
def test_other_networks_are_as_they_are(name: str) -> None:
    assert build_with_notes(f"{HERE}:{name}", {}, SHAPE)[1] == ()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("scripted", "is compiled by torch.jit: give the nn.Module that it was made from"),
        ("scripted_part", "its module body.3 is compiled by torch.jit: give the nn.Module"),
        ("exported", "is a program of torch.export: give the nn.Module that it was made from"),
        ("FullyShardedDataParallel", "its weights are sharded (FSDP): give the nn.Module"),
        ("SparseWeight", "its weight table is sparse, and dsx stores dense weights"),
        (
            "ExtraObject",
            "its state dict holds a type alongside tensors (_extra_state), which cannot",
        ),
        ("NoState", "its state_dict() returns a NoneType, not a dict"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_what_cannot_be_taken_out_is_refused(name: str, problem: str) -> None:
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}"):
        build_model(f"{HERE}:{name}", {}, SHAPE)
