"""Searches of real spaces, each in a process of its own and saved in the cache folder."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_path

from dsx import files
from dsx.bench._base import Report, Row
from dsx.bench.searching.contests import BARE, Contest
from dsx.bench.searching.joint import time_designs
from dsx.bench.searching.merit import LATENCY, Judge
from dsx.bench.searching.record import Record, read_numbers, write_numbers
from dsx.bench.searching.tables import run_rows
from dsx.bench.searching.worker import facts
from dsx.errors import WorkFailed
from dsx.space import SearchSpace, load_space

WORKER = "dsx.bench.searching.worker"


def saved() -> Path:
    """Return the folder of the searches of this device and these versions."""
    digest = hashlib.sha256(json.dumps(facts(), sort_keys=True).encode()).hexdigest()
    return user_cache_path("dsx") / "searches" / digest[:12]


def run_contest(contest: Contest, designs: int, report: Report) -> Iterator[Row]:
    """Run the searches of a contest that are not saved yet, and compare them.

    Args:
        contest: The contest.
        designs: Number of designs of each search.
        report: Function that receives each search.

    Yields:
        A row for each search.

    Raises:
        WorkFailed: If a search fails.
    """
    space = load_space(contest.space)
    for seed, contender in contest.searches:
        report(f"{contest.name}: {contender}, seed {seed}")
        _search(contest, contender, seed, designs)
    for seed in range(max(contest.seeds.values())):
        files_of = {
            name: _file(contest, name, seed)
            for name, count in contest.seeds.items()
            if seed < count
        }
        records = {name: Record.read(file) for name, file in files_of.items()}
        found = [record for record in records.values() if record is not None]
        judge = _judge(contest, space, seed, files_of, report)
        yield from run_rows(contest.name, contest.goal, found, judge)


def _judge(
    contest: Contest, space: SearchSpace, seed: int, files_of: dict[str, Path], report: Report
) -> Judge:
    """Time the designs of all searches of a seed together, unless that is saved."""
    searches = [(_read(file).found, file.with_suffix("")) for file in files_of.values()]
    latencies = {}
    if LATENCY in space.file.objectives:
        file = _file(contest, "latencies", seed)
        known = read_numbers(file)
        wanted = {each.id for found, _ in searches for each in found}
        if known is None or not wanted <= known.keys():
            known = time_designs(space, searches, lambda text: report(f"{contest.name}: {text}"))
            write_numbers(file, known)
        latencies = dict(known)
    baseline = _read(files_of[BARE]).found[0]
    objectives = list(space.file.objectives)
    return Judge(objectives=objectives, latencies=latencies, baseline=baseline)


def _search(contest: Contest, contender: str, seed: int, designs: int) -> None:
    file = _file(contest, contender, seed)
    if Record.read(file) is not None:
        return
    files.make_folder(file.parent)
    log = file.with_suffix(".log")
    command = [sys.executable, "-m", WORKER, contest.space, contender, str(seed), str(designs)]
    with log.open("w") as opened:
        done = subprocess.run(
            [*command, str(file)], stdout=opened, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise WorkFailed(f"{contest.name}, {contender}, seed {seed} failed: {' '.join(last)}")
    log.unlink()


def _read(file: Path) -> Record:
    record = Record.read(file)
    assert record is not None, "a finished search"
    return record


def _file(contest: Contest, name: str, seed: int) -> Path:
    words = "".join(letter if letter.isalnum() else "-" for letter in f"{contest.name} {name}")
    return saved() / f"{words.lower()}-{seed}.json"
