"""Networks: whether dsx counts, folds, deploys and writes public architectures correctly.

The networks of timm, torchvision and transformers have random weights, and batch norms with random
statistics. Each network is examined in a process of its own, so that a network that fails stops no
other one. It takes about 25 minutes on two cores; findings are saved as they come, and the same
command continues after an interruption.
"""

from collections.abc import Sequence

from dsx.activity import Kind, activity
from dsx.bench._base import Bench, Page, Row, Tell
from dsx.bench.zoo.catalogue import SMALL_ZOO, ZOO, Architecture
from dsx.bench.zoo.examine import STEPS
from dsx.bench.zoo.libraries import PACKAGES, check_installed
from dsx.bench.zoo.page import page
from dsx.bench.zoo.rows import row, say
from dsx.bench.zoo.saved import Findings, Saved
from dsx.bench.zoo.searches import search_apart
from dsx.bench.zoo.worker import examine_apart

BUDGET_SECONDS, QUICK_SECONDS = 0.75, 0.02
"""Seconds for timing one network."""


def run(quick: bool, tell: Tell) -> Sequence[Row]:
    """Examine all networks; a try examines a small one of each library and saves nothing."""
    if quick:
        return [
            row(each, _examined(each, number, SMALL_ZOO, QUICK_SECONDS, tell))
            for number, each in enumerate(SMALL_ZOO)
        ]
    check_installed([name for name in PACKAGES if any(each.library == name for each in ZOO)])
    saved = Saved()
    findings = saved.load()
    for number, each in enumerate(ZOO):
        if each.label not in findings:
            findings[each.label] = _examined(each, number, ZOO, BUDGET_SECONDS, tell)
            saved.save(findings)
    saved.remove()
    return [row(each, findings[each.label]) for each in ZOO]


def _examined(
    architecture: Architecture,
    number: int,
    zoo: Sequence[Architecture],
    budget_seconds: float,
    tell: Tell,
) -> Findings:
    """Examine one network, and search on it if it is one of those."""
    name = f"{architecture.label}, network {number + 1} of {len(zoo)}"
    tell(name)
    steps = len(STEPS) + architecture.search
    with activity(Kind.EXAMINING_NETWORK, steps, detail=name) as progress:
        findings = examine_apart(
            architecture, budget_seconds, lambda step: progress.advance(STEPS.index(step))
        )
        if architecture.search and "failed" not in findings:
            progress.advance(len(STEPS))
            findings["search"] = search_apart(architecture, budget_seconds)
    return findings


BENCH = Bench(
    measures="networks: counts, folded norms, deployed outputs and latency of public architectures",
    run=run,
    say=say,
    page=Page(file="docs/networks.md", write=page),
)
