"""Notes about deployed networks whose counts differ from those of their designs."""

from collections.abc import Iterator

from dsx.analysis import Entry, Front
from dsx.report.front.view import listed
from dsx.report.text.numbers import human


def deployed_notes(front: Front) -> Iterator[str]:
    """Describe the listed designs whose deployed network has other counts than the design.

    Args:
        front: Front of a study.

    Yields:
        At most one line that names these designs, such as "#38: 2.97 M flops (designed 1.20 M)".
    """
    lines = [f"#{entry.trial}: {text}" for entry in listed(front) if (text := _difference(entry))]
    if lines:
        yield "deployed (batch norms folded, dense forms with their zeros): " + "; ".join(lines)


def _difference(entry: Entry) -> str:
    """Describe the counts of a design that differ; empty if there are none."""
    parts = []
    for name, deployed in entry.deployed_counts.items():
        designed = entry.metrics.get(name)
        if designed is None or designed.value == deployed:
            continue
        parts.append(f"{human(deployed, '')} {name} (designed {human(designed.value, '')})")
    return ", ".join(parts)
