"""Circumstances: what the numbers of a front were measured under, for people to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsx.analysis import Entry, Measurement
from dsx.errors import parameter
from dsx.measure.metrics.flops import notes
from dsx.store.database.schema import StudyRow
from dsx.store.measurements.readings import DeployedAs
from dsx.store.measurements.repeatability import Agreement

MOST_NAMED = 5
"""Row numbers that a message lists."""

Facts = Mapping[str, Mapping[str, Any]]
"""Fingerprint of a device to what is known of it."""


def circumstances(study: StudyRow, facts: Facts, numbers: Mapping[str, int]) -> dict[str, str]:
    """Say on what and how the numbers of a front were measured.

    Args:
        study: The study.
        facts: Of all devices.
        numbers: The devices whose numbers are mixed, numbered; empty where they are of one.

    Returns:
        Name to words.
    """
    timed = [facts for facts in study.metrics.values() if facts.get("stage") == "timed"]
    settings = {name: value for facts in timed for name, value in facts["settings"].items()}
    timing = ("backend", "batch", "dtype", "threads", "deploy")
    return {
        **_devices(study, facts, numbers),
        **{name: str(settings[name]) for name in timing if name in settings},
        "begun": f"{study.begun_at:%Y-%m-%d %H:%M} UTC",
    }


def _devices(study: StudyRow, facts: Facts, numbers: Mapping[str, int]) -> dict[str, str]:
    own = facts[study.device]
    if not numbers:
        return {"device": _machine(own), "versions": _versions(own)}
    mixed = f"{len(numbers)} devices mixed: what two designs differ by may be their devices"
    return {"device": mixed} | {
        f"device {number}": f"{_machine(facts[device])}; {_versions(facts[device])}"
        for device, number in numbers.items()
    }


def _machine(facts: Mapping[str, Any]) -> str:
    return f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB"


def _versions(facts: Mapping[str, Any]) -> str:
    return f"{facts['system']}, Python {facts['python']}, torch {facts['torch']}"


def numbered(study: StudyRow, entries: Sequence[Entry]) -> dict[str, int]:
    """Number the devices behind some designs, the study's first; nothing where it is but one."""
    others = sorted({entry.device for entry in entries} - {study.device})
    return (
        {device: 1 + place for place, device in enumerate([study.device, *others])}
        if others
        else {}
    )


def left_out(designs: int) -> dict[str, str]:
    """Describe how many designs are missing because they were measured on other devices."""
    if not designs:
        return {}
    were = "1 design was" if designs == 1 else f"{designs} designs were"
    advice = f"{parameter('mix_devices', True)} includes them"
    return {"left out": f"{were} measured on other devices only ({advice})"}


def about_baseline(readings: Sequence[Measurement], deployed: DeployedAs | None) -> dict[str, str]:
    """Return the notes that come from the baseline of a study.

    Args:
        readings: The readings of the baseline.
        deployed: Deployed network of the baseline; None if it was never deployed.

    Returns:
        Name to words.
    """
    return {**unfolded(deployed), **uncounted(readings), **data_notes(readings)}


def data_notes(baseline: Sequence[Measurement]) -> dict[str, str]:
    """Return the notes about the data that the newest reading of the baseline holds, if any."""
    noted = (reading.provenance.data_notes for reading in reversed(baseline))
    notes = next((notes for notes in noted if notes), ())
    return {"data": "; ".join(notes)} if notes else {}


def alike(entries: Sequence[Entry]) -> dict[str, str]:
    """Describe how many different deployed networks some designs run as, if any are equal."""
    deployed = [(entry.device, entry.deployed) for entry in entries if entry.deployed]
    networks = len(set(deployed))
    if networks == len(deployed):
        return {}
    return {
        "deployed networks": f"{len(deployed)} designs run as {networks} different networks; "
        "designs that run as the same network share its latency"
    }


def unfolded(baseline: DeployedAs | None) -> dict[str, str]:
    """Describe how many batch norms the deployed baseline still computes, if there are any."""
    if baseline is None or not baseline.unfolded:
        return {}
    return {"batch norms": unfolded_words(baseline.folded, baseline.unfolded)}


def unfolded_words(folded: int, unfolded: int) -> str:
    """Describe the unfolded batch norms of a deployed network: "3 of 40 are not folded"."""
    verb = "is" if unfolded == 1 else "are"
    return f"{unfolded} of {folded + unfolded} {verb} not folded into a convolution for timing"


def repeated(found: Agreement) -> dict[str, str]:
    """Describe the result of the A/A check, if there is any."""
    return {"A/A check": found.words} if found.networks else {}


def damaged(readings: Sequence[int], trials: Sequence[int]) -> dict[str, str]:
    """Return which measurements are damaged, and which designs therefore lack an objective.

    Args:
        readings: Row numbers of the measurements in `dsx_measurements`; one that counts for several
            designs may be there more than once.
        trials: The trials of the designs.

    Returns:
        Name to words; empty where nothing is damaged.
    """
    said = []
    if readings:
        rows = _row_numbers("row", sorted(set(readings)))
        said.append(f"left out dsx_measurements, {rows}")
    if trials:
        lacking = _row_numbers("trial", trials)
        said.append(f"{lacking} without all objectives (`dsx search` measures them again)")
    return {"damaged": "; ".join(said)} if said else {}


def _row_numbers(what: str, numbers: Sequence[int]) -> str:
    """List some numbers, the first few of many."""
    listed = ", ".join(map(str, numbers[:MOST_NAMED]))
    more = f" and {len(numbers) - MOST_NAMED} more" if len(numbers) > MOST_NAMED else ""
    return f"{what}{'' if len(numbers) == 1 else 's'} {listed}{more}"


def uncounted(baseline: Sequence[Measurement]) -> dict[str, str]:
    """Return which operators of the baseline are not counted, and whether the check disagrees."""
    found: dict[str, list[str]] = {}
    for reading in baseline:
        operators = reading.provenance.operators
        # Only a value that was checked by following the operators of the baseline.
        if operators is not None and operators.checked:
            found[reading.metric] = notes(reading.value, operators)
    return {name: "; ".join(said) for name, said in found.items() if said}
