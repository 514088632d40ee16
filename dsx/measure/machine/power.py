"""Power settings of the processor that Linux tells: governor, preference, boost."""

from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")


def power_settings(cpus: Path = CPUS) -> str:
    """Describe the settings that decide how fast the processor is clocked.

    Settings only: no frequency and no temperature, which are others a moment later.

    Args:
        cpus: The kernel's folder of processors; tests have one of their own.

    Returns:
        Words such as "governor performance, boost on"; empty where nothing is told.
    """
    told = {
        "governor": _each(cpus, "scaling_governor"),
        "preference": _each(cpus, "energy_performance_preference"),
        "boost": _boost(cpus),
    }
    return ", ".join(f"{name} {value}" for name, value in told.items() if value)


def _each(cpus: Path, name: str) -> str:
    """Give the setting of all cores, or the settings where they differ."""
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
