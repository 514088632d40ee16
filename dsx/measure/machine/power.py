"""Power settings of the processor on Linux: governor, energy preference and boost."""

from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")


def power_settings(cpus: Path = CPUS) -> str:
    """Describe the settings that determine the clock frequency of the processor.

    The frequency itself and the temperature are not included, because they fluctuate.

    Args:
        cpus: Folder of the kernel's files about processors.

    Returns:
        Settings such as "governor performance, boost on"; empty if the system provides none.
    """
    settings = {
        "governor": _each(cpus, "scaling_governor"),
        "preference": _each(cpus, "energy_performance_preference"),
        "boost": _boost(cpus),
    }
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value)


def _each(cpus: Path, name: str) -> str:
    """Return the setting of all cores, or all settings if they differ."""
    return "/".join(sorted({_read(file) for file in cpus.glob(f"cpu[0-9]*/cpufreq/{name}")}))


def _boost(cpus: Path) -> str:
    general, intel = cpus / "cpufreq/boost", cpus / "intel_pstate/no_turbo"
    if general.exists():
        return "on" if _read(general) == "1" else "off"
    if intel.exists():
        return "on" if _read(intel) == "0" else "off"
    return ""


def _read(file: Path) -> str:
    return file.read_text().strip()
