"""One run of a search: a process that works on a study until it has enough designs."""

from dsx.search.run.progress import FinalTiming, Progress, Report, Settings
from dsx.search.run.run import Run

__all__ = ["FinalTiming", "Progress", "Report", "Run", "Settings"]
