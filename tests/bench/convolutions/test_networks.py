"""Whole networks with one preset in all slots."""

from pathlib import Path

import pytest
import torch
from torch import nn

from dsx.bench._rounds import Effort
from dsx.bench.convolutions.contenders import COMPOSITION, DENSE, LAST
from dsx.bench.convolutions.networks import (
    build_network,
    check_deployed,
    check_training,
    measure_deployed,
    measure_training,
)
from dsx.bench.convolutions.operators import NETWORK_OPERATORS, SCC, Family
from dsx.conv import DsxConv, deploy
from dsx.conv.modules import LearnedConv2d
from dsx.errors import WorkFailed
from dsx.measure.timing import device_lock as lock


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)


def test_every_supported_slot_has_the_preset() -> None:
    network = build_network("resnet18", SCC)
    dense = [name for name, module in network.named_modules() if type(module) is nn.Conv2d]
    # The stem reads three channels, which two groups do not divide; the others are stages.
    assert [name for name in dense if "depthwise" not in name] == ["conv1"]
    assert sum(isinstance(module, DsxConv) for module in network.modules()) == 16 * 2 + 3


def test_learned_shapes_have_their_density() -> None:
    (learned,) = (each for each in NETWORK_OPERATORS if each.spec.learned)
    convs = [m for m in build_network("vgg16", learned).modules() if isinstance(m, LearnedConv2d)]
    assert len(convs) == 13
    live = sum(conv.layout.live_count for conv in convs)
    assert live / sum(conv.weight.numel() for conv in convs) == pytest.approx(0.25, abs=0.01)


@pytest.mark.slow
def test_a_deployed_network_is_timed_against_the_dense_one() -> None:
    effort = Effort(seconds=0.0, least=2, most=2)
    result = measure_deployed("resnet18", SCC, 1, {}, effort)
    assert (result.family, result.layer, result.batch) == (Family.NETWORK, "resnet18", 1)
    assert result.over.keys() == {DENSE, DENSE + LAST}
    assert result.over[DENSE].rounds == 2 and 0 < result.seconds < 10
    # The stem, which the preset does not support, is an ordinary convolution.
    assert sum(int(part.split()[0]) for part in result.form.split(", ")) == 19


@pytest.mark.slow
def test_a_wrong_deployed_network_is_not_timed() -> None:
    x = torch.randn(1, 3, 32, 32)
    deployed = deploy(build_network("resnet18", SCC), x)
    check_deployed("resnet18", SCC, deployed, x)
    with torch.no_grad():
        next(deployed.parameters())[0, 0, 0, 0] += 1
    with pytest.raises(WorkFailed, match=r"^resnet18 of scc: the output of the deployed network"):
        check_deployed("resnet18", SCC, deployed, x)
    with pytest.raises(WorkFailed, match=r"^dense resnet18: the output of the deployed network"):
        check_deployed("resnet18", None, deployed, x)


@pytest.mark.slow
def test_a_training_step_is_checked_and_timed_in_separate_processes() -> None:
    # The output, and a gradient of each parameter.
    assert check_training() == 1 + len(list(build_network("resnet18", SCC).parameters()))
    result = measure_training(1, batch=2, rounds=1)
    assert result.over[COMPOSITION].rounds == 1 and result.batch == 2
