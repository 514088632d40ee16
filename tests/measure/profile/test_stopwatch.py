"""Stopwatch: the time of a pass is assigned to its slots."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, fx, nn

from dsx.conv import ConvSpec, Deployed, DsxConv, deploy, preset
from dsx.conv.deploy._choose import Choice, candidates
from dsx.measure.profile.stopwatch import Stopwatch, clocked
from dsx.space import redesign, slots

SAMPLE = torch.randn(2, 3, 8, 8)


class Hands:
    """A clock that modules advance."""

    def __init__(self) -> None:
        self.time = 0

    def __call__(self) -> int:
        return self.time


class Takes(nn.Module):
    """A module that advances a clock and returns its input."""

    def __init__(self, hands: Hands, time: int) -> None:
        super().__init__()
        self.hands, self.time = hands, time

    def forward(self, x: Tensor) -> Tensor:
        self.hands.time += self.time
        return x


class Twice(nn.Module):
    """A network that calls a slot twice; with `bent`, torch.fx cannot trace it."""

    def __init__(self, bent: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 8, 3, padding=1)
        self.idle = nn.ReLU()
        self.bent = bent

    def forward(self, x: Tensor) -> Tensor:
        x = self.idle(self.again(self.again(self.first(x))))
        if self.bent and x.sum() > 1e9:
            return x
        out: Tensor = self.last(x).mean((2, 3))
        return out


NAMES = ["first", "again", "last"]
SPECS = {
    "again": ConvSpec(kernel_shape="corners", groups=2),
    "last": preset("scc", groups=2, overlap=0.5),
}


def deployed(bent: bool) -> Deployed:
    network = redesign(Twice(bent), SPECS).eval()
    found = deploy(network, SAMPLE)
    assert isinstance(found.network, fx.GraphModule) is not bent
    return found


@pytest.fixture(params=[False, True], ids=["traced", "untraced"])
def network(request: pytest.FixtureRequest) -> Iterator[Deployed]:
    yield deployed(request.param)


def run(network: nn.Module, watch: Stopwatch) -> Tensor:
    watch.start()
    with torch.no_grad():
        out: Tensor = network(SAMPLE)
    watch.lap(len(watch.spent) - 1)
    return out


def slowed(network: Deployed, times: dict[str, int], hands: Hands) -> None:
    """Insert modules that take time after others, by name."""
    for name, time in times.items():
        parent, _, own = name.rpartition(".")
        holder = network.network.get_submodule(parent)
        fast = getattr(holder, own)
        setattr(holder, own, nn.Sequential(fast, Takes(hands, time)))


def test_time_is_assigned_to_the_slot_that_took_it(network: Deployed) -> None:
    hands = Hands()
    stage = "last.0" if network.choices["last"].form.startswith("depthwise") else "last"
    slowed(network, {"first": 100, "idle": 7, stage: 30}, hands)
    watch = Stopwatch(4, hands)
    with clocked(network, NAMES, watch)() as with_laps:
        run(with_laps, watch)
    assert watch.spent == [100, 0, 30, 7]
    assert sum(watch.spent) == hands.time


def test_calls_of_one_slot_are_summed() -> None:
    hands = Hands()
    network = deploy(Twice(False).eval(), SAMPLE)
    slowed(network, {"again": 40}, hands)
    watch = Stopwatch(4, hands)
    with clocked(network, NAMES, watch)() as with_laps:
        run(with_laps, watch)
    assert watch.spent == [0, 80, 0, 0]


def test_number_of_laps_is_the_number_of_calls(network: Deployed) -> None:
    watch = Stopwatch(4)
    with clocked(network, NAMES, watch)() as with_laps:
        run(with_laps, watch)
    first, again, last, rest = watch.laps
    assert (first, last) == (1, 1)
    # In a graph of torch.fx, consecutive operators of one slot are one lap.
    assert again in (1, 2)
    assert rest >= 2
    assert all(time > 0 for time in watch.spent)


def test_network_and_its_output_are_unchanged(network: Deployed) -> None:
    with torch.no_grad():
        before = network(SAMPLE)
    watch = Stopwatch(4)
    with clocked(network, NAMES, watch)() as with_laps:
        assert torch.equal(run(with_laps, watch), before)
    watch.start()
    with torch.no_grad():
        assert torch.equal(network(SAMPLE), before)
    assert watch.laps == [0, 0, 0, 0]


def test_network_is_unchanged_after_a_failure() -> None:
    network = deployed(True)
    with pytest.raises(ZeroDivisionError), clocked(network, NAMES, Stopwatch(4))():
        raise ZeroDivisionError
    assert all("forward" not in vars(network.network.get_submodule(name)) for name in NAMES)


def test_weights_are_shared_and_the_graph_is_not() -> None:
    network = deployed(False)
    graph = network.network.graph
    assert isinstance(graph, fx.Graph)
    operators = len(graph.nodes)
    with clocked(network, NAMES, Stopwatch(4))() as with_laps:
        own = {tensor.data_ptr() for tensor in network.state_dict().values()}
        assert {tensor.data_ptr() for tensor in with_laps.state_dict().values()} == own
    assert len(graph.nodes) == operators


@pytest.mark.parametrize("form", ["shifted", "split", "window_gemm", "box", "grouped"])
def test_form_of_many_operators_is_one_slot(form: str) -> None:
    """All operators that a form adds to the graph belong to the slot."""
    specs = {
        "shifted": ConvSpec(kernel_shape="cross"),
        "split": ConvSpec(kernel_shape="corners"),
        "window_gemm": ConvSpec(kernel_shape="point", groups=2, channel_stride=0.5),
        "box": ConvSpec(kernel_shape="row"),
        "grouped": ConvSpec(groups=2, channel_stride=1.0),
    }
    network = redesign(Twice(False), {"last": specs[form]}).eval()
    conv = network.get_submodule("last")
    assert isinstance(conv, DsxConv)
    assert form in candidates(conv, native=False)
    first: dict[str, Choice] = {}
    deploy(network, SAMPLE, form_cache=first)
    known = dict.fromkeys(first, Choice(form=form, seconds={}))
    found = deploy(network, SAMPLE, form_cache=known)
    assert found.choices["last"].form == form
    hands = Hands()
    watch = Stopwatch(4, hands)
    with clocked(found, NAMES, watch)() as with_laps:
        run(with_laps, watch)
    assert watch.laps == [1, 1, 1, 4 - 1]


def test_network_of_one_convolution() -> None:
    conv = nn.Conv2d(3, 4, 3).eval()
    assert [slot.name for slot in slots(conv, SAMPLE)] == [""]
    network = deploy(redesign(conv, {"": ConvSpec(kernel_shape="cross")}), SAMPLE)
    watch = Stopwatch(2)
    with clocked(network, [""], watch)() as with_laps:
        run(with_laps, watch)
    assert watch.laps == [1, 2]
