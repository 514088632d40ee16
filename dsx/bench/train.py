"""Speed of the training loop of dsx compared with a bare loop and with a DataLoader in float32.

All three train the same network on the same images, each in a separate process with one thread, in
interleaved blocks. dsx uses its fast settings: `precision: auto`, `channels_last: true`, and reuse
of freed memory. The bare loop uses the same settings and shows the overhead of the loop of dsx; the
DataLoader uses default settings and shows the total gain.
"""

import functools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dsx.bench._base import Bench, Report, Row
from dsx.bench._blocks import THREADS, Contenders, Sample, ratio
from dsx.bench._trainings import CONTENDERS, Work
from dsx.train import chosen_precision

WORKS = (
    Work(name="digits", width=32, channels=1, images=None, batch=64, epochs=3, rounds=20),
    Work(name="like CIFAR-10", width=64, channels=3, images=256, batch=128, epochs=1, rounds=6),
)
TINY = (
    Work(name="digits", width=2, channels=1, images=None, batch=256, epochs=1, rounds=2),
    Work(name="like CIFAR-10", width=2, channels=3, images=8, batch=4, epochs=1, rounds=2),
)
GOALS = {"bare loop": 0.95, "DataLoader": 1.5}


@dataclass(frozen=True, kw_only=True)
class _Result:
    """The comparison of dsx with another contender."""

    work: Work
    other: str
    ours: list[Sample]
    theirs: list[Sample]

    def row(self) -> Row:
        """Return the comparison as a row of the results."""
        middle, low, high = ratio(self.ours, self.theirs)
        goal = GOALS[self.other]
        settings = {"bare loop": "same settings", "DataLoader": "float32, defaults"}
        return {
            "training": self.work.name,
            "dsx": f"{chosen_precision('auto')}, channels last",
            "against": f"{self.other}, {settings[self.other]}",
            "times_as_fast": round(middle, 3),
            "low": round(low, 3),
            "high": round(high, 3),
            "goal": f">= {goal}",
            "met": "yes" if middle >= goal else "no",
            "images_per_s": _speed(self.ours),
            "its_images_per_s": _speed(self.theirs),
            "rounds": len(self.ours),
            "threads": THREADS,
        }


def _speed(samples: list[Sample]) -> int:
    return round(statistics.median(sample.speed for sample in samples))


def run(quick: bool, report: Report) -> Sequence[Row]:
    """Time all trainings.

    Args:
        quick: Whether to run a quick trial of the benchmark, whose results are meaningless.
        report: Function that receives the name of each training.

    Returns:
        A row for each comparison.
    """
    rows = []
    with Contenders(CONTENDERS) as contenders:
        for work in TINY if quick else WORKS:
            report(f"training on {work.name}")
            prepared = {name: functools.partial(own, work) for name, own in CONTENDERS.items()}
            samples = contenders.run_interleaved(prepared, work.rounds)
            for other in GOALS:
                result = _Result(work=work, other=other, ours=samples["dsx"], theirs=samples[other])
                rows.append(result.row())
    return rows


def describe(row: Row) -> str:
    """Describe a comparison in one sentence.

    Args:
        row: Row of this benchmark.

    Returns:
        The sentence.
    """
    return (
        f"{row['training']}: dsx ({row['dsx']}) is {row['times_as_fast']} ({row['low']} to "
        f"{row['high']}) times as fast as {row['against']}: {row['images_per_s']} against "
        f"{row['its_images_per_s']} images/s; goal {row['goal']}: "
        f"{'met' if row['met'] == 'yes' else 'missed'}"
    )


BENCH = Bench(
    measures="training: speed compared with a bare loop and with a DataLoader in float32",
    run=run,
    describe=describe,
)
