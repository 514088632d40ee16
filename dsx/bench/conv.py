"""Speed of the convolutions of dsx compared with what they replace.

Each deployed form and each training step is compared with the dense convolution, a grouped
convolution of the same multiply-adds, the composition that a user of torch would write, and the
limit of the device. The contenders are timed interleaved in one process, in CPU time of the thread
for one thread and in wall time for several; each ratio is the median over the rounds. All outputs
are checked first, and a wrong one ends the benchmark. A case in which the working set of any
contender exceeds 4 GiB is left out and listed.

The default run takes 17 minutes on two cores with AVX2. The full run takes hours; it saves each
result, and the same command resumes it.
"""

import functools
from collections.abc import Callable, Sequence

from dsx.bench._base import Bench, Report, Row
from dsx.bench._saved import Saved
from dsx.bench.convolutions.cases import (
    THREADS,
    Case,
    counted_threads,
    default_cases,
    full_cases,
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

LIMITS = "limits of the device"
"""Name of the limits in the saved results."""
Work = dict[str, Callable[[], Result]]
"""A function that returns the result of each measurement, by its name."""


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
            self.report(LIMITS)
            with torch_threads(threads):
                self.limits[threads] = measure_limit()
        return self.limits[threads]

    def measure_case(self, case: Case) -> Result:
        """Measure a case.

        Args:
            case: The case.

        Returns:
            The result.
        """
        return measure(case, self.limit(case.threads), self.form_cache)

    def work(self, cases: Sequence[Case], threads: Sequence[int]) -> Work:
        """List all measurements of a run.

        Args:
            cases: The cases.
            threads: Numbers of threads with which whole networks are measured.

        Returns:
            A function that returns the result of each measurement, by its name.
        """
        found: Work = {case.name: functools.partial(self.measure_case, case) for case in cases}
        for number in threads:
            suffix = counted_threads(number)
            for name in DEPLOYED:
                for operator in NETWORK_OPERATORS:
                    found[f"{name} of {operator.name}, {suffix}"] = functools.partial(
                        measure_deployed, name, operator, number, self.form_cache
                    )
            found[f"training of a network, {suffix}"] = functools.partial(measure_training, number)
        return found


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
    work = measurer.work(default_cases(), threads=[1])
    results = []
    for number, (name, measure_one) in enumerate(work.items()):
        report(f"measurement {number + 1} of {len(work)}: {name}")
        results.append(measure_one())
    return [*rows_of(results), *device_rows(measurer.limits)]


def _check_all(report: Report) -> Sequence[Row]:
    # The others have nothing to check.
    cases = [case for case in reduced_cases() if not case.keeps]
    checked = 0
    for number, case in enumerate(cases):
        report(f"case {number + 1} of {len(cases)}: {case.name}")
        checked += check(case)
    report("training of a network")
    checked += check_training()
    return [check_row("cases", len(cases)), check_row("outputs and gradients", checked)]


def run_full(report: Report) -> Sequence[Row]:
    """Measure all presets on the layers of several networks, sampled dials, and whole networks.

    Each result is saved in the cache folder of the user until all measurements are finished.

    Args:
        report: Function that receives the name of each case.

    Returns:
        Rows for the goals, the limits of the device and the cases.

    Raises:
        WorkFailed: If an output is wrong, or the file of saved results cannot be used.
    """
    return measure_saved(Measurer(report), full_cases(), THREADS)


def measure_saved(measurer: Measurer, cases: Sequence[Case], threads: Sequence[int]) -> list[Row]:
    """Measure what is not saved yet, and save each result.

    Args:
        measurer: Measurer of the cases.
        cases: The cases.
        threads: Numbers of threads with which whole networks are measured.

    Returns:
        The rows of all results.

    Raises:
        WorkFailed: If an output is wrong, or the file of saved results cannot be used.
    """
    saved, work = Saved("conv"), measurer.work(cases, threads)
    findings = saved.load()
    limits = findings.pop(LIMITS, {})
    measurer.limits |= {int(number): Limit.from_json(limits[number]) for number in limits}
    for number, (name, measure_one) in enumerate(work.items()):
        if name not in findings:
            where = f"{number + 1} of {len(work)} (saved in {saved.file})"
            measurer.report(f"measurement {where}: {name}")
            findings[name] = measure_one().to_json()
            limits = {str(number): limit.to_json() for number, limit in measurer.limits.items()}
            saved.save({**findings, LIMITS: limits})
    results = [Result.from_json(findings[name]) for name in work]
    rows = [*rows_of(results), *device_rows(measurer.limits)]
    saved.remove()
    return rows


BENCH = Bench(
    measures="conv: speed of convolutions and networks over what they replace, with their goals",
    run=run,
    full=run_full,
    tables=tables,
)
