"""Put what settling a front has brought into words."""

from dsx.search import Settled


def said(settled: Settled) -> list[str]:
    """Say what was done, and what came of it.

    Args:
        settled: What `dsx.search.refine` gives.

    Returns:
        A line, one more about designs that could not be timed, if there are any, and one more for
        each design that could not be trained.
    """
    lines = [
        f"{settled.end}: {settled.before} contested pairs before, "
        f"{len(settled.front.contested)} now; designs were timed {settled.timed} times and "
        f"trained {settled.trained} times with fresh seeds; it took {settled.seconds:.0f} s."
    ]
    if untimed := len(settled.untimed):
        designs = "1 design" if untimed == 1 else f"{untimed} designs"
        lines.append(f"not timed: {designs} with learned shapes whose weights are not kept")
    lines += [f"{design}: {problem}" for design, problem in settled.failed.items()]
    return lines
