"""Modules are exchanged wherever they are held."""

from torch import nn

from dsx.conv.graph.swap import swap


def test_every_place_that_holds_a_module_gets_the_new_one() -> None:
    old, new, other = nn.ReLU(), nn.GELU(), nn.Identity()
    inner = nn.Sequential(old, other)
    network = nn.ModuleDict({"a": old, "b": inner, "c": old, "d": nn.ModuleList([inner, old])})
    swap(network, {old: new})
    assert network["a"] is new and network["c"] is new
    assert inner[0] is new and inner[1] is other
    assert old not in set(network.modules())


def test_the_root_stays() -> None:
    network = nn.Sequential(nn.ReLU())
    swap(network, {network: nn.Identity()})
    assert isinstance(network, nn.Sequential) and isinstance(network[0], nn.ReLU)


def test_a_replacement_may_hold_what_it_replaces() -> None:
    old = nn.ReLU()
    network = nn.Sequential(old)
    new = nn.Sequential(old)
    swap(network, {old: new})
    assert network[0] is new and new[0] is old
