"""One search of the benchmark, in a process of its own.

python -m dsx.bench.searching.worker SPACE CONTENDER SEED DESIGNS FILE
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from dsx import __version__
from dsx.bench._saved import versions
from dsx.bench.searching import bare, ours
from dsx.bench.searching.record import Record
from dsx.measure import this_device
from dsx.search import find_metrics
from dsx.space import SearchSpace, load_space

CONTENDERS = (*bare.SAMPLERS, *ours.SAMPLERS)


def facts() -> dict[str, str]:
    """Return the device and the versions on which a record depends."""
    return {"device": this_device().fingerprint, "dsx": __version__, **versions(["optuna"])}


def run(space: SearchSpace, contender: str, seed: int, designs: int, folder: Path) -> Record:
    """Run one search.

    Args:
        space: The search space.
        contender: One of `CONTENDERS`.
        seed: Random seed.
        designs: Number of designs, including the baseline.
        folder: Folder for databases and weights.

    Returns:
        The record.
    """
    # The data are loaded once for both kinds of contenders.
    if any(metric.stage in ("projected", "trained") for metric in find_metrics(space).values()):
        space.splits  # noqa: B018
    if contender in ours.SAMPLERS:
        found = ours.run_ours(space, contender, seed, folder, designs)
    else:
        found = bare.Bare(space, contender, seed, folder).run(designs)
    return replace(found, facts=facts())


if __name__ == "__main__":
    name, chosen, number, count, file = sys.argv[1:]
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    place = Path(file).with_suffix("")
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        found = run(load_space(name), chosen, int(number), int(count), Path(scratch))
        for weights in Path(scratch).glob("*.safetensors"):
            (place / weights.name).write_bytes(weights.read_bytes())
    found.write(Path(file))
