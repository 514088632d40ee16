"""Replacement of modules at all their occurrences."""

from torch import nn

from dsx.conv.graph.swap import swap


def test_a_module_is_replaced_at_all_occurrences() -> None:
    old, new, other = nn.ReLU(), nn.GELU(), nn.Identity()
    inner = nn.Sequential(old, other)
    network = nn.ModuleDict({"a": old, "b": inner, "c": old, "d": nn.ModuleList([inner, old])})
    swap(network, {old: new})
    assert network["a"] is new and network["c"] is new
    assert inner[0] is new and inner[1] is other
    assert old not in set(network.modules())


def test_the_root_is_not_replaced() -> None:
    network = nn.Sequential(nn.ReLU())
    swap(network, {network: nn.Identity()})
    assert isinstance(network, nn.Sequential) and isinstance(network[0], nn.ReLU)


def test_a_replacement_can_contain_the_old_module() -> None:
    old = nn.ReLU()
    network = nn.Sequential(old)
    new = nn.Sequential(old)
    swap(network, {old: new})
    assert network[0] is new and new[0] is old
