"""Notes about the refinement of a study."""

from dsx.report.front.summary import claim_notes
from dsx.report.text.progress import end_text
from dsx.search import Outlook, Refinement


def outlook_notes(outlook: Outlook) -> list[str]:
    """Describe the decisions that a refinement can be expected to make.

    Args:
        outlook: Expected number of decided pairs.

    Returns:
        A line about the time budget, and one about inseparable pairs if there are any.
    """
    pairs = f"{outlook.contested} contested pair{'s' * (outlook.contested != 1)}"
    lines = [f"{pairs}, of which about {outlook.expected:.0f} can be decided in this time"]
    if outlook.inseparable:
        images = f", or by these {outlook.images} validation images" if outlook.images else ""
        lines.append(
            f"{outlook.inseparable} of them cannot be expected to be decided by any number of "
            f"measurements within the limits{images}"
        )
    return lines


def refinement_notes(refinement: Refinement) -> list[str]:
    """Describe what a refinement did.

    Args:
        refinement: Result of `dsx.search.refining.refine`.

    Returns:
        A summary, a line for each objective about its comparisons, a line about designs that could
        not be timed, if there are any, and a line for each design that could not be trained.
    """
    lines = [
        f"{end_text(refinement.end)}: {refinement.before} contested pairs before, "
        f"{len(refinement.front.contested)} after; {refinement.timed} timings and "
        f"{refinement.trained} trainings with further seeds in {refinement.seconds:.0f} s"
    ]
    lines += claim_notes(refinement.front)
    if untimed := len(refinement.untimed):
        designs = "1 design" if untimed == 1 else f"{untimed} designs"
        lines.append(f"not timed: {designs} with learned shapes whose weights are not stored")
    lines += [f"{design}: {problem}" for design, problem in refinement.failed.items()]
    return lines
