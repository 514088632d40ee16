"""The slots and excluded convolutions of a network."""

import json
from collections import OrderedDict

import pytest
import torch
from torch import nn

from dsx.report.space.slots import print_analysis, slot_row
from dsx.space import slots
from dsx.space.network.analysis import analyse_network

CONVS = {
    "3x3": nn.Conv2d(8, 8, 3, padding=1),
    "1x1 /2": nn.Conv2d(8, 8, 1, stride=2),
    "3x3 dw": nn.Conv2d(8, 8, 3, padding=1, groups=8),
    "3x3 /2 4 groups": nn.Conv2d(8, 8, 3, stride=2, groups=4),
    "1x5 /2x1 dw": nn.Conv2d(8, 16, (1, 5), stride=(2, 1), groups=8),
}


def printed(network: nn.Module, capsys: pytest.CaptureFixture[str], format: str = "table") -> str:
    """Print the slots of a network for images of 8 x 32 x 32."""
    print_analysis("mine", analyse_network(network, torch.zeros(1, 8, 32, 32)), format)
    return capsys.readouterr().out


@pytest.mark.parametrize("kernel", CONVS)
def test_kernel_stride_and_groups_share_a_column(
    kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(nn.Sequential(CONVS[kernel], nn.Flatten()), capsys).splitlines()
    assert f"  {kernel}  " in lines[2]
    explained = [line for line in lines if line.startswith(("/2:", "dw:"))]
    assert bool(explained) == ("/" in kernel or "dw" in kernel)


def test_rows_have_separate_keys() -> None:
    (slot,) = slots(CONVS["1x5 /2x1 dw"], torch.zeros(1, 8, 32, 32))
    row = slot_row(slot)
    assert {key: row[key] for key in ("channels", "kernel", "stride", "groups", "output")} == {
        "channels": "8 -> 16",
        "kernel": "1 x 5",
        "stride": "2 x 1",
        "groups": 8,
        "output": "16 x 28",
    }
    assert (row["params"], row["flops"]) == (16 * 5 + 16, 16 * 5 * 16 * 28)


def test_a_line_has_at_most_80_characters(capsys: pytest.CaptureFixture[str]) -> None:
    conv = nn.Conv2d(1024, 2048, 1, 2)
    network = nn.Sequential(OrderedDict(layer1=nn.Sequential(OrderedDict(downsample=conv))))
    print_analysis("mine", analyse_network(network, torch.zeros(1, 1024, 112, 112)), "table")
    out = capsys.readouterr().out.splitlines()
    assert max(map(len, out)) <= 80
    assert out[2].split() == [
        "layer1.downsample", "1024->2048", "1x1", "/2", "56x56", "2.10", "M", "6.58", "G",
    ]  # fmt: skip


def test_the_network_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    network = nn.Sequential(nn.Conv2d(8, 4, 3), nn.ConvTranspose2d(4, 2, 3), nn.Flatten())
    document = json.loads(printed(network, capsys, "json"))
    assert document["input"] == [8, 32, 32]
    assert document["excluded"] == {"1": "is a ConvTranspose2d, not a nn.Conv2d"}
    assert [row["slot"] for row in document["slots"]] == ["0"]
    assert document["cost"]["params"] == sum(p.numel() for p in network.parameters())
