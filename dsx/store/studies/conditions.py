"""Human-readable descriptions of the conditions under which a front was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsx.analysis import Entry, Measurement
from dsx.errors import parameter
from dsx.measure.metrics.flops import notes
from dsx.store.database.schema import StudyRow
from dsx.store.measurements.readings import DeployedAs
from dsx.store.measurements.repeatability import Agreement

MOST_NAMED = 5
"""Maximum number of row numbers that a message lists."""

Facts = Mapping[str, Mapping[str, Any]]
"""Properties of devices by fingerprint."""


def measurement_conditions(
    study: StudyRow, facts: Facts, numbers: Mapping[str, int]
) -> dict[str, str]:
    """Describe the devices and the timing settings of the measurements of a front.

    Args:
        study: Row of the study.
        facts: Properties of all devices.
        numbers: Number of each device if the front mixes several devices; otherwise empty.

    Returns:
        Description by name.
    """
    timed = [facts for facts in study.metrics.values() if facts.get("stage") == "timed"]
    settings = {name: value for facts in timed for name, value in facts["settings"].items()}
    timing = ("backend", "batch", "dtype", "threads", "deploy")
    return {
        **_devices(study, facts, numbers),
        **{name: str(settings[name]) for name in timing if name in settings},
        "created": f"{study.created_at:%Y-%m-%d %H:%M} UTC",
    }


def _devices(study: StudyRow, facts: Facts, numbers: Mapping[str, int]) -> dict[str, str]:
    own = facts[study.device]
    if not numbers:
        return {"device": _machine(own), "versions": _versions(own)}
    mixed = f"{len(numbers)} devices mixed: differences between designs may be due to the devices"
    return {"device": mixed} | {
        f"device {number}": f"{_machine(facts[device])}; {_versions(facts[device])}"
        for device, number in numbers.items()
    }


def _machine(facts: Mapping[str, Any]) -> str:
    return f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB"


def _versions(facts: Mapping[str, Any]) -> str:
    return f"{facts['system']}, Python {facts['python']}, torch {facts['torch']}"


def number_devices(study: StudyRow, entries: Sequence[Entry]) -> dict[str, int]:
    """Number the devices on which designs were measured, starting with that of the study.

    Args:
        study: Row of the study.
        entries: The designs.

    Returns:
        Number by fingerprint, from 1; empty if all designs were measured on the device of the
        study.
    """
    others = sorted({entry.device for entry in entries} - {study.device})
    if not others:
        return {}
    return {device: number for number, device in enumerate([study.device, *others], start=1)}


def excluded_designs_note(designs: int) -> dict[str, str]:
    """Describe how many designs are excluded because they were measured on other devices.

    Args:
        designs: Number of these designs.

    Returns:
        Description by name; empty if there are none.
    """
    if not designs:
        return {}
    were = "1 design was" if designs == 1 else f"{designs} designs were"
    advice = f"{parameter('mix_devices', True)} includes them"
    return {"left out": f"{were} measured on other devices only ({advice})"}


def baseline_notes(readings: Sequence[Measurement], deployed: DeployedAs | None) -> dict[str, str]:
    """Return the notes on the baseline of a study.

    Args:
        readings: Readings of the baseline.
        deployed: Deployed network of the baseline; None if it was never deployed.

    Returns:
        Description by name.
    """
    return {**unfolded_note(deployed), **uncounted_operators(readings), **data_notes(readings)}


def data_notes(baseline: Sequence[Measurement]) -> dict[str, str]:
    """Return the notes on the data from the newest reading of the baseline that has any.

    Args:
        baseline: Readings of the baseline, newest last.

    Returns:
        Description by name; empty if there are no notes.
    """
    noted = (reading.provenance.data_notes for reading in reversed(baseline))
    notes = next((notes for notes in noted if notes), ())
    return {"data": "; ".join(notes)} if notes else {}


def shared_networks_note(entries: Sequence[Entry]) -> dict[str, str]:
    """Describe how many different deployed networks designs have, if any of them are equal.

    Args:
        entries: The designs.

    Returns:
        Description by name; empty if all deployed networks are different.
    """
    deployed = [(entry.device, entry.deployed) for entry in entries if entry.deployed]
    networks = len(set(deployed))
    if networks == len(deployed):
        return {}
    return {
        "deployed networks": f"{len(deployed)} designs run as {networks} different networks; "
        "designs that run as the same network share its latency"
    }


def unfolded_note(baseline: DeployedAs | None) -> dict[str, str]:
    """Describe how many batch norms the deployed baseline still computes.

    Args:
        baseline: Deployed network of the baseline; None if it was never deployed.

    Returns:
        Description by name; empty if there are no such batch norms.
    """
    if baseline is None or not baseline.unfolded:
        return {}
    return {"batch norms": describe_unfolded(baseline.folded, baseline.unfolded)}


def describe_unfolded(folded: int, unfolded: int) -> str:
    """Describe the unfolded batch norms of a deployed network: "3 of 40 are not folded ...".

    Args:
        folded: Number of folded batch norms.
        unfolded: Number of batch norms that are not folded.

    Returns:
        The description.
    """
    verb = "is" if unfolded == 1 else "are"
    return f"{unfolded} of {folded + unfolded} {verb} not folded into a convolution for timing"


def agreement_note(found: Agreement) -> dict[str, str]:
    """Describe the result of the A/A check.

    Args:
        found: Result of the A/A check.

    Returns:
        Description by name; empty if no deployed network has several readings.
    """
    return {"A/A check": found.words} if found.networks else {}


def damage_note(readings: Sequence[int], trials: Sequence[int]) -> dict[str, str]:
    """Describe which measurements are damaged, and which designs therefore lack an objective.

    Args:
        readings: Row numbers of the damaged measurements in `dsx_measurements`, which may contain
            duplicates.
        trials: Numbers of the trials of these designs.

    Returns:
        Description by name; empty if nothing is damaged.
    """
    notes = []
    if readings:
        rows = _numbers("row", sorted(set(readings)))
        notes.append(f"left out dsx_measurements, {rows}")
    if trials:
        incomplete = _numbers("trial", trials)
        notes.append(f"{incomplete} without all objectives (`dsx search` measures them again)")
    return {"damaged": "; ".join(notes)} if notes else {}


def _numbers(what: str, numbers: Sequence[int]) -> str:
    """Format numbers as text, truncating long lists."""
    listed = ", ".join(map(str, numbers[:MOST_NAMED]))
    more = f" and {len(numbers) - MOST_NAMED} more" if len(numbers) > MOST_NAMED else ""
    return f"{what}{'' if len(numbers) == 1 else 's'} {listed}{more}"


def uncounted_operators(baseline: Sequence[Measurement]) -> dict[str, str]:
    """Describe uncounted operators of the baseline and deviations from the operator counter.

    Args:
        baseline: Readings of the baseline.

    Returns:
        Description by metric; empty if there is nothing to report.
    """
    found: dict[str, list[str]] = {}
    for reading in baseline:
        operators = reading.provenance.operators
        # Only values that were compared with the operator counter.
        if operators is not None and operators.checked:
            found[reading.metric] = notes(reading.value, operators)
    return {name: "; ".join(lines) for name, lines in found.items() if lines}
