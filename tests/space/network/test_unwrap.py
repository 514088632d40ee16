"""Networks inside wrappers of torch, which are unwrapped or rejected."""

import re

import pytest
import torch
from torch import nn

from dsx.errors import DsxError
from dsx.space.network.model import build_model
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
# The compiler of torch raises this warning when it is imported.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wrappers_are_removed(name: str, wrapped: str) -> None:
    network, notes = build_model(f"{HERE}:{name}", {}, SHAPE)
    assert notes == (f"removed wrappers, which do not change the output: {wrapped}",)
    assert type(network) is odd_networks.Odd
    plain, _ = build_model(f"{HERE}:Odd", {}, SHAPE)
    assert network.state_dict().keys() == plain.state_dict().keys()
    images = torch.ones(2, *SHAPE)
    assert torch.equal(network.eval()(images), plain.eval()(images))


def test_a_network_of_the_user_stays_wrapped() -> None:
    network = nn.Sequential(nn.DataParallel(odd_networks.Odd()))
    odd_networks.KEPT.append(network)
    build_model(f"{HERE}:kept", {}, SHAPE)
    assert isinstance(odd_networks.KEPT.pop().get_submodule("0"), nn.DataParallel)


@pytest.mark.parametrize("name", ["Odd", "traced"])
def test_other_networks_are_unchanged(name: str) -> None:
    assert build_model(f"{HERE}:{name}", {}, SHAPE)[1] == ()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("scripted", "is compiled by torch.jit: use the nn.Module"),
        ("scripted_part", "its module body.3 is compiled by torch.jit: use the nn.Module"),
        ("exported", "is a program of torch.export: use the nn.Module"),
        ("FullyShardedDataParallel", "its weights are sharded (FSDP): use the nn.Module"),
        ("SparseWeight", "its weight table is sparse, but dsx only supports dense weights"),
        (
            "ExtraObject",
            "its state dict contains a type (_extra_state), which cannot",
        ),
        ("NoState", "its state_dict() returns a NoneType, not a dict"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_networks_that_cannot_be_unwrapped_are_rejected(name: str, problem: str) -> None:
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}"):
        build_model(f"{HERE}:{name}", {}, SHAPE)
