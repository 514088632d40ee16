"""Speed of the convolutions of dsx compared with what they replace.

Each deployed form and each training step is compared with the dense convolution, a grouped
convolution of the same multiply-adds, the composition that a user of torch would write, and the
limit of the device. The contenders are timed interleaved in one process, in CPU time of the thread
for one thread and in wall time for several; each ratio is the median over the rounds. All outputs
are checked first, and a wrong one ends the benchmark. A contender whose working set exceeds 4 GiB
is left out and listed.

The default run takes up to fifteen minutes on two cores. The full run takes hours; it saves each
finished part, and the same command resumes it.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

from dsx.bench._base import Bench, Report, Row
from dsx.bench._saved import Saved
from dsx.bench.convolutions.cases import (
    THREADS,
    Case,
    default_cases,
    full_parts,
    reduced_cases,
)
from dsx.bench.convolutions.device_limit import Limit, measure_limit
from dsx.bench.convolutions.measuring import check, measure
from dsx.bench.convolutions.networks import (
    DEPLOYED,
    check_training,
    measure_deployed,
    measure_training,
)
from dsx.bench.convolutions.operators import NETWORK_OPERATORS
from dsx.bench.convolutions.results import Result
from dsx.bench.convolutions.tables import check_row, device_rows, rows_of, tables
from dsx.conv.deploy import Choice
from dsx.process import torch_threads


class Measurer:
    """Measures cases, and holds what they share: limits of the device and selected forms.

    Args:
        report: Function that receives the name of each case.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.form_cache: dict[str, Choice] = {}
        self.limits: dict[int, Limit] = {}

    def limit(self, threads: int) -> Limit:
        """Return the limits of the device, which are measured when they are first needed.

        Args:
            threads: Number of threads of torch.
        """
        if threads not in self.limits:
            self.report("limits of the device")
            with torch_threads(threads):
                self.limits[threads] = measure_limit()
        return self.limits[threads]

    def measure(self, cases: Sequence[Case], prefix: str = "") -> list[Result]:
        """Measure cases.

        Args:
            cases: The cases.
            prefix: Beginning of the name of each case.

        Returns:
            The results.
        """
        results = []
        for number, case in enumerate(cases):
            limit = self.limit(case.threads)
            self.report(f"{prefix}case {number + 1} of {len(cases)}: {case.name}")
            results.append(measure(case, limit, self.form_cache))
        return results

    def measure_networks(self, threads: int, prefix: str = "") -> list[Result]:
        """Measure whole networks.

        Args:
            threads: Number of threads of torch.
            prefix: Beginning of the name of each network.

        Returns:
            The results of the deployed networks and of a training step.
        """
        results = []
        for name in DEPLOYED:
            for operator in NETWORK_OPERATORS:
                self.report(f"{prefix}{name} of {operator.name}")
                results.append(measure_deployed(name, operator, threads, self.form_cache))
        self.report(f"{prefix}training step of a network")
        return [*results, measure_training(threads)]


def run(quick: bool, report: Report) -> Sequence[Row]:
    """Measure all presets on the named layers, and whole networks.

    Args:
        quick: Whether to check the outputs of all cases on small layers only.
        report: Function that receives the name of each case.

    Returns:
        Rows for the goals, the limits of the device and the cases.

    Raises:
        WorkFailed: If an output is wrong.
    """
    if quick:
        return _check_all(report)
    measurer = Measurer(report)
    results = measurer.measure(default_cases()) + measurer.measure_networks(1)
    return [*rows_of(results), *device_rows(measurer.limits)]


def _check_all(report: Report) -> Sequence[Row]:
    cases, checked = reduced_cases(), 0
    for number, case in enumerate(cases):
        report(f"case {number + 1} of {len(cases)}: {case.name}")
        checked += check(case)
    report("training of a network")
    check_training()
    return [check_row("cases", len(cases)), check_row("outputs and gradients", checked)]


def run_full(report: Report) -> Sequence[Row]:
    """Measure all presets on the layers of several networks, sampled dials, and whole networks.

    Each finished part is saved in the cache folder of the user until all parts are finished.

    Args:
        report: Function that receives the name of each case.

    Returns:
        Rows for the goals, the limits of the device and the cases.

    Raises:
        WorkFailed: If an output is wrong, or the file of saved parts cannot be used.
    """
    return measure_parts(full_parts(), THREADS, report)


def measure_parts(
    parts: Mapping[str, Sequence[Case]], threads: Sequence[int], report: Report
) -> list[Row]:
    """Measure parts that are not saved yet, and save each.

    Args:
        parts: Cases of each part by its name.
        threads: Numbers of threads with which whole networks are measured.
        report: Function that receives the name of each case.

    Returns:
        The rows of all parts.

    Raises:
        WorkFailed: If an output is wrong, or the file of saved parts cannot be used.
    """
    measurer, saved = Measurer(report), Saved("conv")
    findings = saved.load()
    work: dict[str, Callable[[str], list[Result]]] = {
        name: functools.partial(measurer.measure, cases) for name, cases in parts.items()
    }
    for number in threads:
        measure_networks = functools.partial(measurer.measure_networks, number)
        work[f"networks, {number} threads"] = measure_networks
    for number, (name, measure_part) in enumerate(work.items()):
        if name not in findings:
            prefix = f"part {number + 1} of {len(work)} (saved in {saved.file}), "
            results = measure_part(prefix)
            findings[name] = {"results": [result.to_json() for result in results]}
            saved.save(findings)
    saved.remove()
    results = [Result.from_json(each) for name in work for each in findings[name]["results"]]
    return [*rows_of(results), *device_rows(measurer.limits)]


BENCH = Bench(
    measures="conv: speed of convolutions and networks over what they replace, with their goals",
    run=run,
    full=run_full,
    tables=tables,
)
