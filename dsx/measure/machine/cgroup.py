"""Control groups: the CPU quota that Linux gives a container or a service."""

from collections.abc import Callable
from pathlib import Path


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Say how many cores' worth of CPU time this process may use.

    Args:
        root: Where /proc and /sys are; tests have one of their own.

    Returns:
        Cores, the least that any group around this process allows; None where none limits it.
    """
    listed = root / "proc/self/cgroup"
    if not listed.exists():
        return None
    quotas = []
    for line in listed.read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:
            quotas += _above(root / "sys/fs/cgroup", group, _quota_2)
        elif "cpu" in controllers.split(","):
            quotas += _above(root / "sys/fs/cgroup/cpu", group, _quota_1)
    return min(quotas, default=None)


def _above(mount: Path, group: str, read: Callable[[Path], float | None]) -> list[float]:
    """Read the quotas of a group and of all groups around it, as far as they are in sight."""
    inside = mount / group.lstrip("/")
    # A container sees its own group as the whole tree, under a name from outside of it.
    folders = [folder for folder in (inside, *inside.parents) if folder.is_relative_to(mount)]
    found = [read(folder) for folder in folders]
    return [quota for quota in found if quota is not None]


def _quota_2(folder: Path) -> float | None:
    file = folder / "cpu.max"
    if not file.exists():
        return None
    limit, period = file.read_text().split()
    return None if limit == "max" else int(limit) / int(period)


def _quota_1(folder: Path) -> float | None:
    limit, period = folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"
    if not (limit.exists() and period.exists()):
        return None
    allowed = int(limit.read_text())
    return None if allowed < 0 else allowed / int(period.read_text())
