"""Notes about the refinement of a study."""

from dsx.report.text.progress import end_text
from dsx.search import Refinement


def refinement_notes(refinement: Refinement) -> list[str]:
    """Describe what a refinement did.

    Args:
        refinement: Result of `dsx.search.refine`.

    Returns:
        A summary, a line about designs that could not be timed, if there are any, and a line for
        each design that could not be trained.
    """
    lines = [
        f"{end_text(refinement.end)}: {refinement.before} contested pairs before, "
        f"{len(refinement.front.contested)} after; {refinement.timed} timings and "
        f"{refinement.trained} trainings with further seeds in {refinement.seconds:.0f} s"
    ]
    if untimed := len(refinement.untimed):
        designs = "1 design" if untimed == 1 else f"{untimed} designs"
        lines.append(f"not timed: {designs} with learned shapes whose weights are not stored")
    lines += [f"{design}: {problem}" for design, problem in refinement.failed.items()]
    return lines
