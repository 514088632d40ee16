"""The metrics of one design next to those of the baseline, as table, JSON or CSV."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from dsx.analysis import DeploymentFacts
from dsx.measure.backends import resolved
from dsx.report.text.console import console, transliterate
from dsx.report.text.listing import listing, print_rows
from dsx.report.text.numbers import annotated, counted_unit, flag_notes, relative, title
from dsx.search.design import Measured, MetricResult
from dsx.space import Design, SearchSpace
from dsx.store.studies import describe_unfolded

Row = dict[str, object]


def print_measured(
    space: SearchSpace,
    design: Design,
    found: Measured,
    format: str,
    about: Mapping[str, object],
) -> None:
    """Print the metrics of a design to stdout.

    Args:
        space: Search space of the design.
        design: The design.
        found: Metrics of the design and of the baseline.
        format: "table", "json" or "csv".
        about: Further keys of a JSON document.
    """
    rows = [_row(name, found) for name in found.metrics]
    if format != "table":
        unsupported = {name: problem.reason for name, problem in found.unsupported.items()}
        more = {**about, **about_design(space, design), "unsupported": unsupported}
        print_rows(rows, format, more, "metrics")
        return
    out = console()
    ascii_only = out.options.ascii_only
    out.print(heading(space, design), soft_wrap=True)
    news = _without_repeats(found)
    shown = [_shown(row, found, ascii_only) for row in rows if row["metric"] in news.metrics]
    out.print(listing(shown, right=("this design", "baseline", "ratio")))
    for line in _notes(news):
        out.print(line, style="dim", soft_wrap=True)
    out.print(conditions(space), style="dim", soft_wrap=True)


def heading(space: SearchSpace, design: Design) -> str:
    """Describe a design in one line.

    Args:
        space: Search space of the design.
        design: The design.

    Returns:
        Such as "digits: 2x cross; 5x keep (4c1d30ab9e21)".
    """
    description = design.description(space.analysis) if design.changed else "the baseline"
    return f"{space.name}: {description} ({design.id})"


def about_design(space: SearchSpace, design: Design) -> dict[str, object]:
    """Describe a design and its measurement settings as plain JSON values.

    Args:
        space: Search space of the design.
        design: The design.

    Returns:
        Keys and values of a JSON document.
    """
    return {
        "space": space.name,
        "design": design.id,
        "baseline": space.baseline.id,
        "description": design.description(space.analysis),
        "spec": design.spec_json(),
        "measure": resolved(space.file.measure).model_dump(),
    }


def conditions(space: SearchSpace) -> str:
    """Describe the measurement settings of a space.

    Args:
        space: The space.

    Returns:
        Such as "batch 8, float32, 1 thread, eager, portable, cpu".
    """
    measure = resolved(space.file.measure)
    threads = f"{measure.threads} thread{'s' if measure.threads > 1 else ''}"
    parts = [f"batch {measure.batch}", measure.dtype, threads, measure.backend, measure.deploy]
    return ", ".join([*parts, measure.device, *["channels last"] * measure.channels_last])


def utc_time(measured_at: datetime) -> str:
    """Format a time in UTC as ISO 8601.

    Args:
        measured_at: The time.

    Returns:
        Such as "2026-11-24T12:05:00Z".
    """
    return f"{measured_at:%Y-%m-%dT%H:%M:%SZ}"


def number_row(number: MetricResult, before: str = "") -> Row:
    """Describe a result as part of a plain row.

    Args:
        number: The result.
        before: Prefix of the keys.

    Returns:
        Value, interval, flags and time.
    """
    value = number.estimate
    return {
        f"{before}value": _plain(value.value),
        f"{before}low": _plain(value.low),
        f"{before}high": _plain(value.high),
        f"{before}readings": value.readings,
        f"{before}converged": value.converged,
        f"{before}noisy": value.noisy,
        f"{before}stored": number.stored,
        f"{before}measured_at": utc_time(number.measured_at),
    }


def _plain(number: float) -> float | int:
    """Convert a count to an integer, so that it is written without a decimal point."""
    return int(number) if number == int(number) else number


def _row(name: str, found: Measured) -> Row:
    own = found.design[name]
    row: Row = {"metric": name, "unit": found.metrics[name].unit, **number_row(own)}
    if found.baseline:
        baseline = found.baseline[name]
        row |= number_row(baseline, "baseline_")
        of = baseline.estimate.value
        row["ratio"] = own.estimate.value / of if of and not baseline.estimate.at_chance else None
    return row


def _without_repeats(found: Measured) -> Measured:
    """Leave out counts of the deployed network that equal those of the design."""
    metrics = {
        name: metric
        for name, metric in found.metrics.items()
        if not _repeats(name, name.removeprefix("deployed_"), found)
    }
    return dataclasses.replace(found, metrics=metrics)


def _repeats(name: str, designed: str, found: Measured) -> bool:
    if name == designed or designed not in found.metrics:
        return False
    known = [numbers for numbers in (found.design, found.baseline) if numbers]
    return all(numbers[name].estimate == numbers[designed].estimate for numbers in known)


def _shown(row: Row, found: Measured, ascii_only: bool) -> Row:
    name = str(row["metric"])
    unit, own = found.metrics[name].unit, found.design[name]
    shown: Row = {"metric": title(name, unit)}
    shown["this design"] = transliterate(annotated(own.estimate, unit), ascii_only)
    if found.baseline:
        baseline = found.baseline[name]
        shown["baseline"] = transliterate(annotated(baseline.estimate, unit), ascii_only)
        if not baseline.estimate.at_chance:
            shown["ratio"] = relative(own.estimate.value, baseline.estimate.value, unit)
    shown["measured"] = age(own)
    return shown


def age(number: MetricResult) -> str:
    """Describe when a result was measured.

    Args:
        number: The result.

    Returns:
        "now", or such as "stored 11-24 12:05 x3" for the median of 3 measurements.
    """
    if not number.stored:
        return "now"
    times = f" x{number.estimate.readings}" if number.estimate.readings > 1 else ""
    return f"stored {number.measured_at:%m-%d %H:%M}{times}"


def _notes(found: Measured) -> Iterator[str]:
    if found.baseline:
        yield f"baseline: {_sources(found.baseline)}"
    everything = [*found.design.values(), *found.baseline.values()]
    yield from flag_notes([number.estimate for number in everything])
    if any(number.estimate.readings > 1 for number in found.design.values()):
        yield "xN: median of N measurements (timestamp of the latest)"
    units = {name: counted_unit(name, metric.unit) for name, metric in found.metrics.items()}
    counts = [f"{title(name, unit)} in {unit}" for name, unit in units.items() if unit]
    if counts:
        yield "; ".join(counts)
    for name, problem in found.unsupported.items():
        yield f"{name}: {problem.reason}"
    forms = _forms(found)
    if forms:
        yield forms
    yield from norm_notes(_deployments(found))


def _sources(numbers: Mapping[str, MetricResult]) -> str:
    """Describe the source of the results: "params, flops stored; latency measured now"."""
    groups = {
        "stored": [name for name, number in numbers.items() if number.stored],
        "measured now": [name for name, number in numbers.items() if not number.stored],
    }
    parts = [
        f"{'everything' if len(own) == len(numbers) else ', '.join(own)} {how}"
        for how, own in groups.items()
        if own
    ]
    return "; ".join(parts)


def _deployments(found: Measured) -> Iterator[DeploymentFacts]:
    for number in found.design.values():
        if (deployment := number.newest.provenance.deployment) is not None:
            yield deployment


def norm_notes(deployments: Iterable[DeploymentFacts]) -> Iterator[str]:
    """Describe how many batch norms of a deployed network are not folded.

    Args:
        deployments: Deployments of the network; the first with such batch norms is described.

    Yields:
        At most one line.
    """
    for known in deployments:
        if known.unfolded_norms:
            yield f"batch norms: {describe_unfolded(known.folded_norms, known.unfolded_norms)}"
            return


def _forms(found: Measured) -> str:
    """Count the slots of each deployed form."""
    deployment = next(_deployments(found), None)
    if deployment is None or not deployment.forms:
        return ""
    forms = Counter(deployment.forms.values())
    return "deployed as " + ", ".join(f"{count}x {form}" for form, count in forms.most_common())
