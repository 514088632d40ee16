"""Print how fast one design is in several backends."""

from collections.abc import Mapping, Sequence

from dsx.report.design.measured import (
    Row,
    about_design,
    conditions,
    flag_notes,
    heading,
    norm_notes,
    number_row,
    taken,
)
from dsx.report.text.console import console, transliterate
from dsx.report.text.listing import listing, print_rows
from dsx.report.text.numbers import annotated, relative
from dsx.search.design import EAGER, InBackend
from dsx.space import Design, SearchSpace

UNIT = "ms"


def print_backends(
    space: SearchSpace,
    design: Design,
    lines: Sequence[InBackend],
    format: str,
    about: Mapping[str, object],
) -> None:
    """Print the latency of a design in each backend to stdout.

    Args:
        space: Whose network it is of.
        design: The design.
        lines: A line for each backend, eager among them.
        format: "table", "json" or "csv".
        about: What a JSON document says beside that.
    """
    eager = next(line.number for line in lines if line.backend == EAGER)
    assert eager is not None
    standing = eager.estimate.value
    if format != "table":
        rows = [_row(line, standing) for line in lines]
        print_rows(rows, format, {**about, **about_design(space, design)}, "backends")
        return
    out = console()
    out.print(heading(space, design), soft_wrap=True)
    shown = [_shown(line, standing, out.options.ascii_only) for line in lines]
    out.print(listing(shown, right=("latency", "of eager")))
    values = [line.number.estimate for line in lines if line.number is not None]
    newest = [line.number.newest.provenance for line in lines if line.number is not None]
    known = [each.deployment for each in newest if each.deployment is not None]
    for line in (*flag_notes(values), *norm_notes(known)):
        out.print(line, style="dim", soft_wrap=True)
    for backend in lines:
        if backend.number is None:
            out.print(f"{backend.backend}: not available: {backend.reason}", soft_wrap=True)
    # Without the backend, which is what differs.
    said = conditions(space).replace(f", {space.file.measure.backend},", ",")
    out.print(said, style="dim", soft_wrap=True)


def _row(line: InBackend, standing: float) -> Row:
    if line.number is None:
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
        return {"backend": line.backend, **dict.fromkeys(keys), "reason": line.reason}
    ratio = line.number.estimate.value / standing
    return {"backend": line.backend, **number_row(line.number), "ratio": ratio, "reason": ""}


def _shown(line: InBackend, standing: float, ascii_only: bool) -> Row:
    if line.number is None:
        return {"backend": line.backend, "latency": "-", "of eager": "", "taken": "not available"}
    return {
        "backend": line.backend,
        "latency": transliterate(annotated(line.number.estimate, UNIT), ascii_only),
        "of eager": relative(line.number.estimate.value, standing, UNIT),
        "taken": taken(line.number),
    }
