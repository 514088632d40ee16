"""Put what settling a front has brought into words."""

from dsx.report.text.progress import end_text
from dsx.search import Refinement


def said(refinement: Refinement) -> list[str]:
    """Say what was done, and what came of it.

    Args:
        settled: What `dsx.search.refine` gives.

    Returns:
        A line, one more about designs that could not be timed, if there are any, and one more for
        each design that could not be trained.
    """
    lines = [
        f"{end_text(refinement.end)}: {refinement.before} contested pairs before, "
        f"{len(refinement.front.contested)} now; designs were timed {refinement.timed} times and "
        f"trained {refinement.trained} times with fresh seeds; it took {refinement.seconds:.0f} s."
    ]
    if untimed := len(refinement.untimed):
        designs = "1 design" if untimed == 1 else f"{untimed} designs"
        lines.append(f"not timed: {designs} with learned shapes whose weights are not kept")
    lines += [f"{design}: {problem}" for design, problem in refinement.failed.items()]
    return lines
