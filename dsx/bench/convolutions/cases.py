"""Cases: an operator on a layer with a batch size."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dsx.bench.convolutions.layers import (
    LARGE_SIDE,
    NAMED,
    NETWORKS,
    SMALL_SIDE,
    Layer,
    layers_of,
)
from dsx.bench.convolutions.operators import (
    FOUR_SPLITS,
    PRESETS,
    SPLITS,
    Family,
    Operator,
    sampled,
)

SERVED, TRAINED_BATCH, FULL_BATCHES = (1, 32), 32, (1, 32, 128)
"""Batch sizes of the default run, of training steps, and of the full run on small images."""
REDUCED_BATCH = 2
THREADS = (1, 2)
"""Numbers of threads of the full run."""


def counted_threads(number: int) -> str:
    """Format a number of threads.

    Args:
        number: The number.

    Returns:
        The number with its noun.
    """
    return f"{number} thread{'s' * (number != 1)}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """An operator on a layer.

    Args:
        operator: The operator.
        layer: Layer, as `Operator.layer` returns it.
        batch: Number of images.
        threads: Number of threads of torch.
        training: Whether forward and backward passes are timed, else deployed forward passes.
    """

    operator: Operator
    layer: Layer
    batch: int
    threads: int = 1
    training: bool = False

    @property
    def keeps(self) -> bool:
        """Whether the operator keeps the convolution, so that there is nothing to time."""
        spec = self.operator.canonical(self.layer)
        return spec is not None and spec.keeps

    @property
    def name(self) -> str:
        """Description of the case in messages."""
        passes = "forward and backward" if self.training else "forward"
        where = f"{self.layer.name}, batch {self.batch}, {counted_threads(self.threads)}"
        return f"{self.operator.name} on {where}, {passes}"


def list_cases(
    operators: Iterable[Operator],
    layers: Sequence[Layer],
    batch: int,
    threads: int = 1,
    training: bool = False,
) -> list[Case]:
    """List the cases of several operators and layers.

    Args:
        operators: The operators.
        layers: Layers of networks.
        batch: Number of images.
        threads: Number of threads of torch.
        training: Whether forward and backward passes are timed.

    Returns:
        The different cases in which an operator applies to a layer. Blocks are only deployed.
    """
    found: dict[Case, None] = {}
    for operator in operators:
        for layer in map(operator.layer, layers):
            applies = operator.canonical(layer) is not None
            if applies and not (training and operator.family is Family.BLOCK):
                case = Case(
                    operator=operator, layer=layer, batch=batch, threads=threads, training=training
                )
                found[case] = None
    return list(found)


def default_cases() -> list[Case]:
    """List the cases of the default run.

    Returns:
        All presets on the named layers, with one thread, and the binary basis whose splits cost the
        most, only deployed.
    """
    operators = (*PRESETS, FOUR_SPLITS)
    served = [case for batch in SERVED for case in list_cases(operators, NAMED, batch)]
    return served + list_cases(PRESETS, NAMED, TRAINED_BATCH, training=True)


def full_cases() -> list[Case]:
    """List the cases of the full run.

    Returns:
        All presets and numbers of splits on the layers of several networks, and sampled dials on
        the named layers, with one and with two threads.
    """
    sizes = [(SMALL_SIDE, batch) for batch in FULL_BATCHES] + [(LARGE_SIDE, 1)]
    layers = {side: layers_of(NETWORKS, side) for side in (SMALL_SIDE, LARGE_SIDE)}
    operators, found = (*PRESETS, *SPLITS), []
    for threads in THREADS:
        for side, batch in sizes:
            found += list_cases(operators, layers[side], batch, threads)
            if batch == TRAINED_BATCH:
                found += list_cases(operators, layers[side], batch, threads, training=True)
        for batch in SERVED:
            found += list_cases(sampled(), NAMED, batch, threads)
    return list(dict.fromkeys(found))


def reduced_cases() -> list[Case]:
    """List every kind of case of the default and of the full run, on small layers.

    Returns:
        The different cases.
    """
    layers = [layer for side in (SMALL_SIDE, LARGE_SIDE) for layer in layers_of(NETWORKS, side)]
    small = list(dict.fromkeys(layer.reduced for layer in (*NAMED, *layers)))
    operators = (*PRESETS, *SPLITS, *sampled())
    return [
        case
        for training in (False, True)
        for case in list_cases(operators, small, REDUCED_BATCH, training=training)
    ]
