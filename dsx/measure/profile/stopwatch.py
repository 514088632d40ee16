"""Stopwatch that is read whenever a forward pass enters or leaves a slot."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, fx, nn

from dsx.conv import Deployed


class Stopwatch:
    """A stopwatch that accumulates the time between two readings by row.

    Args:
        rows: Number of rows.
        now: Clock in nanoseconds.
    """

    def __init__(self, rows: int, now: Callable[[], int] = time.perf_counter_ns) -> None:
        self.now = now
        self.spent = [0] * rows
        self.laps = [0] * rows
        self.last = 0

    def start(self) -> None:
        """Reset all rows and start."""
        rows = len(self.spent)
        self.spent, self.laps = [0] * rows, [0] * rows
        self.last = self.now()

    def lap(self, row: int) -> None:
        """Add the time since the last reading to a row.

        Args:
            row: Number of the row.
        """
        moment = self.now()
        self.spent[row] += moment - self.last
        self.laps[row] += 1
        self.last = moment


def clocked(
    deployed: Deployed, slots: Sequence[str], watch: Stopwatch
) -> Callable[[], AbstractContextManager[nn.Module]]:
    """Build a network that reads a stopwatch whenever it enters or leaves a slot.

    Args:
        deployed: The deployed network.
        slots: Names of the slots in the order of the rows; the last row is the time outside of
            slots.
        watch: The stopwatch; the caller starts it before a pass and reads it afterwards.

    Returns:
        Function that returns a context manager for the network to be run, which shares its weights
        with the given one. A network that torch.fx cannot trace is changed itself within the
        context.
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
    """Insert a lap into a graph wherever the operators of a slot begin or end."""
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
    """Return the row of the slot in which an operator was traced."""
    for path, _ in node.meta.get("nn_module_stack", {}).values():
        # During deployment the network is the child "0" of another module.
        name = str(path).removeprefix("0").removeprefix(".")
        if name in rows:
            return rows[name]
    return len(rows)
