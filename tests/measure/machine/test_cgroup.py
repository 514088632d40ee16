"""CPU quotas from trees of files like those of Linux."""

from pathlib import Path

import pytest

from dsx.measure.machine.cgroup import cpu_quota
from tests.measure.files import tree

SERVICE = "0::/work.slice/dsx.service\n"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            # The parent group has a lower limit.
            {
                "proc/self/cgroup": SERVICE,
                "sys/fs/cgroup/work.slice/dsx.service/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/work.slice/cpu.max": "50000 25000\n",
            },
            2.0,
        ),
        (
            # A group that is not visible inside a container, and the group of the container.
            {"proc/self/cgroup": SERVICE, "sys/fs/cgroup/cpu.max": "100000 100000\n"},
            1.0,
        ),
        (
            {
                "proc/self/cgroup": "9:memory:/\n4:cpu,cpuacct:/docker/abc\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "25000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            0.25,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_minimum_of_quotas(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(tree(tmp_path, files)) == quota
