"""Stopwatch: read wherever a forward pass of a deployed network enters or leaves a slot."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, fx, nn

from dsx.conv import Deployed


class Stopwatch:
    """Charges the time from one reading to the next to a row.

    Args:
        rows: How many there are.
        now: Nanoseconds.
    """

    def __init__(self, rows: int, now: Callable[[], int] = time.perf_counter_ns) -> None:
        self.now = now
        self.spent = [0] * rows
        self.laps = [0] * rows
        self.last = 0

    def start(self) -> None:
        """Begin anew, at zero."""
        rows = len(self.spent)
        self.spent, self.laps = [0] * rows, [0] * rows
        self.last = self.now()

    def lap(self, row: int) -> None:
        """Charge the time since the last reading."""
        moment = self.now()
        self.spent[row] += moment - self.last
        self.laps[row] += 1
        self.last = moment


def clocked(
    deployed: Deployed, slots: Sequence[str], watch: Stopwatch
) -> Callable[[], AbstractContextManager[nn.Module]]:
    """Let a stopwatch be read wherever a pass enters or leaves a slot.

    Args:
        deployed: The network.
        slots: Names of the slots, the first row first; everything else is the row after them.
        watch: The stopwatch; whoever runs the network starts it, and ends the last row.

    Returns:
        Makes a context that gives the network to run, which shares its weights with the one given.
        Where torch.fx cannot follow the network, that itself is changed inside the context.
    """
    rows = {name: row for row, name in enumerate(slots)}
    if isinstance(deployed.network, fx.GraphModule):
        network = _with_laps(deployed.network, rows, watch)
        whole = Deployed(
            network,
            deployed.choices,
            deployed.folded,
            deployed.untraced,
            deployed.designed,
            deployed.folds,
            deployed.sized,
        ).eval()
        return lambda: nullcontext(whole)
    modules = {deployed.network.get_submodule(name): row for name, row in rows.items()}
    return lambda: _changed(deployed, modules, watch)


@contextmanager
def _changed(
    deployed: Deployed, modules: Mapping[nn.Module, int], watch: Stopwatch
) -> Iterator[nn.Module]:
    for module, row in modules.items():
        module.forward = _enclosed(module.forward, row, len(modules), watch)
    try:
        yield deployed
    finally:
        for module in modules:
            del module.forward


def _enclosed(
    forward: Callable[..., Tensor], row: int, rest: int, watch: Stopwatch
) -> Callable[..., Tensor]:
    def enclosed(*args: Tensor, **named: Tensor) -> Tensor:
        watch.lap(rest)
        out = forward(*args, **named)
        watch.lap(row)
        return out

    return enclosed


def _with_laps(
    network: fx.GraphModule, rows: Mapping[str, int], watch: Stopwatch
) -> fx.GraphModule:
    """Write laps into a graph, where one slot's operators end and others begin."""
    graph, lap = copy.deepcopy(network.graph), watch.lap
    row = rest = len(rows)
    for node in list(graph.nodes):
        if node.op in ("placeholder", "get_attr"):
            continue
        own = rest if node.op == "output" else _row(node, rows)
        if own != row:
            with graph.inserting_before(node):
                graph.call_function(lap, (row,))
        row = own
    return fx.GraphModule(network, graph)


def _row(node: fx.Node, rows: Mapping[str, int]) -> int:
    """Say which slot an operator was traced in."""
    for path, _ in node.meta.get("nn_module_stack", {}).values():
        # In deployment the network is held by another one, as its child "0".
        name = str(path).removeprefix("0").removeprefix(".")
        if name in rows:
            return rows[name]
    return len(rows)
