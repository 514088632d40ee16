"""Power settings from trees of files like those of Linux."""

from pathlib import Path

import pytest

from dsx.measure.machine.power import power_settings
from tests.measure.files import tree


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ""),
        (
            {
                "cpu0/cpufreq/scaling_governor": "performance\n",
                "cpu1/cpufreq/scaling_governor": "performance\n",
                "cpu1/cpufreq/scaling_cur_freq": "1234567\n",
                "cpufreq/boost": "1\n",
            },
            "governor performance, boost on",
        ),
        (
            {
                "cpu0/cpufreq/scaling_governor": "powersave\n",
                "cpu0/cpufreq/energy_performance_preference": "balance_power\n",
                "cpu11/cpufreq/scaling_governor": "performance\n",
                "intel_pstate/no_turbo": "1\n",
            },
            "governor performance/powersave, preference balance_power, boost off",
        ),
        ({"intel_pstate/no_turbo": "0\n"}, "boost on"),
        ({"cpufreq/boost": "0\n"}, "boost off"),
    ],
)
def test_power_settings_exclude_frequencies(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    assert power_settings(tree(tmp_path, files)) == words
