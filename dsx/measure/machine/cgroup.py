"""CPU quota of a container or service in the control groups of Linux."""

from collections.abc import Callable
from pathlib import Path


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the CPU time that this process may use.

    Args:
        root: Folder that contains /proc and /sys.

    Returns:
        Number of cores: the minimum over all groups that contain this process; None without a
        limit.
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
    """Read the quotas of a group and of all visible groups that contain it."""
    inside = mount / group.lstrip("/")
    # In a container, the root of the tree is its own group, which has another name outside.
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
