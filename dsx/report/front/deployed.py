"""Notes about deployed networks that compute or hold something else than their designs."""

from collections.abc import Iterator

from dsx.analysis import Entry, Front
from dsx.report.front.view import listed
from dsx.report.text.numbers import human


def deployed_notes(front: Front) -> Iterator[str]:
    """Describe the listed designs whose deployed network has other counts than the design.

    Args:
        front: The front.

    Yields:
        One line that names each of them, such as "#38: 2.97 M flops (designed 1.20 M)"; nothing if
        all agree or none was deployed.
    """
    lines = [f"#{entry.trial}: {said}" for entry in listed(front) if (said := _difference(entry))]
    if lines:
        yield "deployed (batch norms folded, dense forms with their zeros): " + "; ".join(lines)


def _difference(entry: Entry) -> str:
    """Describe the counts that differ."""
    parts = []
    for name, deployed in entry.deployed_counts.items():
        designed = entry.metrics.get(name)
        if designed is None or designed.value == deployed:
            continue
        parts.append(f"{human(deployed, '')} {name} (designed {human(designed.value, '')})")
    return ", ".join(parts)
