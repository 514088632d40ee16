"""Correctness of counts, folded batch norms, deployment and export for public architectures.

The networks of timm, torchvision and transformers have random weights, and batch norms with random
statistics. Each network is examined in a separate process, so that the failure of one network does
not affect the others. The benchmark takes about 25 minutes on two cores. Findings are saved after
each network, and the same command resumes an interrupted benchmark.
"""

from collections.abc import Sequence

from dsx.activity import Kind, activity
from dsx.bench._base import Bench, Page, Report, Row
from dsx.bench._saved import Findings, Saved
from dsx.bench.zoo.catalogue import SMALL_ZOO, ZOO, Architecture
from dsx.bench.zoo.examine import STEPS
from dsx.bench.zoo.libraries import PACKAGES, check_installed
from dsx.bench.zoo.page import page
from dsx.bench.zoo.rows import describe, row
from dsx.bench.zoo.searches import run_search
from dsx.bench.zoo.worker import examine_in_process

BUDGET_SECONDS, QUICK_SECONDS = 0.75, 0.02
"""Seconds for timing one network."""


def run(quick: bool, report: Report) -> Sequence[Row]:
    """Examine all networks.

    Args:
        quick: Whether to examine only a small network of each library and save no findings.
        report: Function that receives the name of each network.

    Returns:
        A row for each network.

    Raises:
        DsxError: If a library of the extra `zoo` is not installed.
    """
    if quick:
        return [
            row(each, _examine(each, number, SMALL_ZOO, QUICK_SECONDS, report))
            for number, each in enumerate(SMALL_ZOO)
        ]
    return examine_all(ZOO, report)


def examine_all(zoo: Sequence[Architecture], report: Report) -> list[Row]:
    """Examine networks; findings of an interrupted run are reused.

    Args:
        zoo: Architectures of the networks.
        report: Function that receives the name of each network.

    Returns:
        A row for each network.

    Raises:
        DsxError: If a library of the extra `zoo` is not installed.
    """
    check_installed([name for name in PACKAGES if any(each.library == name for each in zoo)])
    saved = Saved("networks", PACKAGES)
    findings = saved.load()
    for number, each in enumerate(zoo):
        if each.label not in findings:
            findings[each.label] = _examine(each, number, zoo, BUDGET_SECONDS, report)
            saved.save(findings)
    saved.remove()
    return [row(each, findings[each.label]) for each in zoo]


def _examine(
    architecture: Architecture,
    number: int,
    zoo: Sequence[Architecture],
    budget_seconds: float,
    report: Report,
) -> Findings:
    """Examine a network, and run a search on it if the catalogue specifies one."""
    name = f"{architecture.label}, network {number + 1} of {len(zoo)}"
    report(name)
    steps = len(STEPS) + architecture.search
    with activity(Kind.EXAMINING_NETWORK, steps, detail=name) as progress:
        findings = examine_in_process(
            architecture, budget_seconds, lambda step: progress.advance(STEPS.index(step))
        )
        if architecture.search and "failed" not in findings:
            progress.advance(len(STEPS))
            findings["search"] = run_search(architecture, budget_seconds)
    return findings


BENCH = Bench(
    measures="networks: counts, folded norms, deployed outputs and latency of public architectures",
    run=run,
    describe=describe,
    page=Page(file="docs/networks.md", write=page),
)
