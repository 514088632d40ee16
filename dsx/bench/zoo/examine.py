"""Examination of one network: counts, folded batch norms, deployment, export and latency."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dsx.bench.zoo.catalogue import Architecture
from dsx.bench.zoo.libraries import build, missing_operator, published
from dsx.bench.zoo.norms import count_norms, randomise
from dsx.bench.zoo.rows import TOLERANCE
from dsx.conv.deploy import Deployed, deploy
from dsx.errors import WorkFailed, raise_out_of_memory, with_type
from dsx.export import Exporter, fresh_logits
from dsx.files import scratch
from dsx.lookup import find
from dsx.measure.backends import prepare
from dsx.measure.timing import COARSE, WorkloadClass, time_interleaved, timer
from dsx.process import torch_threads
from dsx.space.network import analyse_network, unwrap_logits
from dsx.space.yaml import Measure

Findings = dict[str, Any]
"""The findings about a network by name, as plain JSON values."""
Report = Callable[[str], None]
"""Receives the name of the step that begins."""

STEPS = ("building", "counting", "deploying", "comparing", "writing", "timing")
IMAGES = 4
"""Number of images on which batch norms are set and outputs are compared."""


class Examination:
    """The examination of one network.

    Attributes:
        findings: The findings so far.

    Args:
        architecture: Architecture that is built and examined.
        budget_seconds: Seconds for timing the network in one form.
        report: Function that receives the name of each step.
        steps: Names of the steps that are taken.
    """

    def __init__(
        self,
        architecture: Architecture,
        budget_seconds: float,
        report: Report,
        steps: Sequence[str] = STEPS,
    ) -> None:
        self.architecture = architecture
        self.steps = steps
        self.measure = Measure(budget_seconds=budget_seconds)
        self.report = report
        self.findings: Findings = {}

    def run(self) -> Findings:
        """Go through all steps; the first one that fails is the last one.

        Returns:
            The findings; `failed` names the step that failed and the reason.
        """
        begin = time.perf_counter()
        with torch_threads(self.measure.threads), torch.random.fork_rng():
            self._take_steps()
        self.findings["seconds"] = round(time.perf_counter() - begin, 1)
        return self.findings

    def _take_steps(self) -> None:
        for step in self.steps:
            self.report(step)
            try:
                getattr(self, f"_{step}")()
            # The network is the code of another project, which may raise anything.
            except (Exception, SystemExit) as error:
                raise_out_of_memory(error)
                self.findings["failed"] = _reason(step, error)
                break

    def _images(self, number: int, side: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        shape = (number, self.architecture.channels, side, side)
        return torch.randn(shape, generator=generator)

    def _building(self) -> None:
        self.network = build(self.architecture)
        self.images = self._images(IMAGES, self.architecture.side)
        self.sample = self.images[:1].clone()
        randomise(self.network, self.images)

    def _counting(self) -> None:
        known = published(self.architecture)
        side = self.architecture.side if known is None else known.side
        image = self._images(1, side)
        found = analyse_network(self.network, image)
        cost = found.cost({})
        self.flops = cost.flops
        self.findings |= {
            "counted_side": side,
            "params": cost.params,
            "params_counted": sum(each.numel() for each in self.network.parameters()),
            "params_published": None if known is None else known.params,
            "flops": cost.flops,
            "flops_counted": _multiply_adds(self.network, image),
            "flops_published": None if known is None else known.flops,
            "slots": len(found.slots),
            "excluded": len(found.excluded),
        }
        self.untraced = found.untraced
        if found.wrapped:
            unwrap_logits(self.network)

    def _deploying(self) -> None:
        self.deployed: Deployed = deploy(self.network, self.sample, timer(self.measure))
        norms = count_norms(self.network, self.sample)
        left = count_norms(self.deployed, self.sample)
        untraced = self.deployed.untraced
        self.findings |= {
            "norms": norms,
            "norms_folded": norms - left,
            "norms_left": left,
            "untraced": untraced,
            "trace_agrees": (untraced is None) == (self.untraced is None),
        }
        if (reported := self.deployed.folded) != norms - left:
            raise WorkFailed(
                f"the deployed network reports {reported} folded batch norms, and runs "
                f"{norms - left} less"
            )

    def _comparing(self) -> None:
        with torch.no_grad():
            self.expected = self.network(self.images)
            self.findings["difference"] = _difference(self.deployed(self.images), self.expected)

    def _writing(self) -> None:
        try:
            self.findings["model_py"] = _written(self.deployed, self.images, self.expected)
        except WorkFailed as error:
            self.findings["model_py"] = str(error)

    def _timing(self) -> None:
        measure, calls = self.measure, max(1, self.findings["slots"])
        small = self.flops * (self.architecture.side / self.findings["counted_side"]) ** 2
        grain = WorkloadClass(
            grain="coarse" if small / calls >= COARSE else "fine", network=self.architecture.label
        )
        networks = (self.network, self.deployed)
        runs = [prepare(measure.backend, each, self.sample, measure.threads) for each in networks]
        eager, deployed = time_interleaved(runs, measure, {}, grain)
        self.findings |= {
            "eager_ms": eager.value,
            "deployed_ms": deployed.value,
            "flagged": eager.flagged or deployed.flagged,
        }


def _multiply_adds(network: nn.Module, image: Tensor) -> int:
    """Count multiply-adds by torch's own counter, which counts each of them as two."""
    fused = torch.backends.mha.get_fastpath_enabled()
    # The counter supports matrix products, but not every fused attention kernel.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.no_grad(),
            FlopCounterMode(display=False) as counter,
            sdpa_kernel(SDPBackend.MATH),
        ):
            network(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return int(counter.get_total_flops()) // 2


def _difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def _written(deployed: Deployed, images: Tensor, expected: Tensor) -> str:
    """Write model.py and run it in a fresh process.

    Returns:
        "written", or the difference of the outputs if it is too large.
    """
    exporter = find(Exporter, "model_py")
    with scratch() as folder:
        exporter.write(deployed, images[:1], "A network of the zoo.", folder)
        logits = fresh_logits(folder, {"images": images})["images"]
    difference = _difference(logits, expected)
    # Not `difference > TOLERANCE`, since a NaN must fail, too.
    if not difference <= TOLERANCE:
        return f"its outputs differ by {difference:.2g} of the largest one"
    return "written"


def _reason(step: str, error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Exception) and (operator := missing_operator(cause)):
            return f"not runnable: calls {operator}, whose compiled code does not load here"
        cause = cause.__cause__
    return f"{step}: {with_type(error)}"
