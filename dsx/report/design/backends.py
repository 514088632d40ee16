"""The latency of one design in several backends, as table, JSON or CSV."""

from collections.abc import Sequence

from dsx.errors import Unsupported
from dsx.report.design.measured import (
    Row,
    age,
    conditions,
    norm_notes,
    number_row,
)
from dsx.report.text.console import console, transliterate
from dsx.report.text.listing import listing, print_rows
from dsx.report.text.numbers import annotated, flag_notes, relative
from dsx.search.design import EAGER, BackendLatency, MetricResult
from dsx.space import SearchSpace

UNIT = "ms"


def backends_document(lines: Sequence[BackendLatency]) -> list[Row]:
    """Describe the latency of a design in each backend as plain JSON values.

    Args:
        lines: Result of each backend; one of them is eager.

    Returns:
        A row for each backend.
    """
    return [_row(line, _in_eager(lines)) for line in lines]


def print_backends(space: SearchSpace, lines: Sequence[BackendLatency], format: str) -> None:
    """Print the latency of a design in each backend to stdout.

    Args:
        space: Search space of the design.
        lines: Result of each backend; one of them is eager.
        format: "table" or "csv"; JSON is a part of the document of the design.
    """
    if format == "csv":
        print_rows(backends_document(lines), format, {}, "backends")
        return
    out = console()
    shown = [_shown(line, _in_eager(lines), out.options.ascii_only) for line in lines]
    out.print(listing(shown, right=("latency", "of eager")))
    results = [line.latency for line in lines if isinstance(line.latency, MetricResult)]
    values = [result.estimate for result in results]
    newest = [result.newest.provenance for result in results]
    known = [each.deployment for each in newest if each.deployment is not None]
    for note in (*flag_notes(values), *norm_notes(known)):
        out.print(note, style="dim", soft_wrap=True)
    for line in lines:
        if isinstance(line.latency, Unsupported):
            reason = line.latency.reason
            out.print(f"{line.backend}: not available: {reason}", soft_wrap=True)
    # The backend differs between the rows.
    text = conditions(space).replace(f", {space.file.measure.backend},", ",")
    out.print(text, style="dim", soft_wrap=True)


def _in_eager(lines: Sequence[BackendLatency]) -> float:
    """Return the latency in eager in milliseconds."""
    result = next(line.latency for line in lines if line.backend == EAGER)
    assert isinstance(result, MetricResult)
    return result.estimate.value


def _row(line: BackendLatency, eager_ms: float) -> Row:
    if isinstance(line.latency, Unsupported):
        keys = (
            "value",
            "low",
            "high",
            "readings",
            "converged",
            "noisy",
            "stored",
            "measured_at",
            "ratio",
        )
        return {"backend": line.backend, **dict.fromkeys(keys), "reason": line.latency.reason}
    ratio = line.latency.estimate.value / eager_ms
    return {"backend": line.backend, **number_row(line.latency), "ratio": ratio, "reason": ""}


def _shown(line: BackendLatency, eager_ms: float, ascii_only: bool) -> Row:
    if isinstance(line.latency, Unsupported):
        return {
            "backend": line.backend,
            "latency": "-",
            "of eager": "",
            "measured": "not available",
        }
    return {
        "backend": line.backend,
        "latency": transliterate(annotated(line.latency.estimate, UNIT), ascii_only),
        "of eager": relative(line.latency.estimate.value, eager_ms, UNIT),
        "measured": age(line.latency),
    }
