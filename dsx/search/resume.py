"""Creation of studies, and the checks before a study is resumed."""

import json
from typing import Any

from dsx.errors import StorageError, parameter
from dsx.measure.backends import no_native_forms, resolved
from dsx.search.plan import Plan
from dsx.search.sampling.study import exists, forget
from dsx.space import SearchSpace, with_measure_settings
from dsx.space.yaml import read_source
from dsx.store.database import Engine, StudyRow
from dsx.store.measurements import MeasurementStore
from dsx.store.studies import (
    add_study,
    delete_study,
    has_results,
    has_trials,
    load_study,
)


def create_or_resume(
    name: str,
    plan: Plan,
    measurements: MeasurementStore,
    seed: int,
    mix_devices: bool = False,
    *,
    engine: Engine,
) -> StudyRow:
    """Create a study, or check that an existing study can be resumed.

    A study without results that was created with another search space is created again, so that a
    mistake in the space can be corrected.

    Args:
        name: Name of the study.
        plan: Metrics of the study and their protocols.
        measurements: Measurements of this device in the database of the study.
        seed: Random seed of the sampler.
        mix_devices: Whether the study may have been created on another device.
        engine: Engine of the same database that writes only while the lease is held.

    Returns:
        The row of the study.

    Raises:
        StorageError: If the study was created with another search space, on another device, or
            with other protocols.
    """
    existing = load_study(measurements.engine, name)
    if existing is not None and (
        has_results(measurements.engine, name) or not _differs(existing, plan)
    ):
        check_resumable(existing, plan, measurements, mix_devices)
        return existing
    if existing is not None:
        forget(engine, name)
        delete_study(engine, name)
    elif not has_trials(measurements.engine, name) and exists(measurements.engine, name):
        raise StorageError(
            f"the database has an Optuna study '{name}' that dsx did not create (choose another "
            f"name: {parameter('study', 'NAME')})"
        )
    baseline = plan.space.baseline
    measurements.add_design(baseline, baseline.description(plan.space.analysis))
    return add_study(engine, _row(name, plan, measurements.device, seed))


def with_stored_forms(space: SearchSpace, row: StudyRow | None) -> SearchSpace:
    """Resolve `deploy: auto` as when the study was created.

    Args:
        space: Search space of the study.
        row: Row of the study; None if it does not exist yet.

    Returns:
        The space with the deployed forms of the study; unchanged if a study of schema version 1
        times nothing.

    Raises:
        StorageError: If the study was created with native forms, which cannot run here.
    """
    stored = None if row is None else row.deploy or _timed_forms(row)
    if row is None or stored is None or space.file.measure.deploy != "auto":
        return space
    if stored == "native" and (reason := no_native_forms(space.file.measure)):
        raise StorageError(
            f"study '{row.name}' was created with native forms, which cannot run here: "
            f"{reason.reason} (or create another study: {parameter('study', 'NAME')})"
        )
    return with_measure_settings(space, deploy=stored)


def _timed_forms(row: StudyRow) -> str | None:
    """Return the deployed forms of the timed metrics of a study; None if there are none."""
    timed = [facts["settings"] for facts in row.metrics.values() if facts.get("stage") == "timed"]
    return next((settings["deploy"] for settings in timed if "deploy" in settings), None)


def _row(name: str, plan: Plan, device: str, seed: int) -> StudyRow:
    space = plan.space
    return StudyRow(
        name=name,
        space=space.name,
        space_text=space.source.text,
        device=device,
        seed=seed,
        baseline=space.baseline.id,
        objectives=dict(space.file.objectives),
        metrics={
            metric: {
                "unit": plan.metrics[metric].unit,
                "direction": plan.metrics[metric].direction,
                "stage": plan.metrics[metric].stage,
                "refinement": plan.metrics[metric].refinement,
                "protocol": protocol,
                "learned_protocol": plan.learned.get(metric),
                "settings": dict(plan.settings[metric]),
            }
            for metric, protocol in plan.protocols.items()
        },
        reference={},
        deploy=resolved(space.file.measure).deploy,
    )


def _differs(row: StudyRow, plan: Plan) -> str:
    old = read_source(row.space, row.space_text).content
    return difference_of(old, plan.space.source.content)


def check_resumable(
    row: StudyRow, plan: Plan, measurements: MeasurementStore, mix_devices: bool = False
) -> None:
    """Check that a study can be resumed with a plan on this device.

    Args:
        row: Row of the study.
        plan: Metrics of the study and their protocols.
        measurements: Measurements of this device in the database of the study.
        mix_devices: Whether the study may have been created on another device.

    Raises:
        StorageError: If the study was created with another search space, on another device, or
            with other protocols.
    """
    space = plan.space
    new_study = f"create another study: {parameter('study', 'NAME')}"
    difference = _differs(row, plan)
    if difference:
        raise StorageError(
            f"{space.source.file}: study '{row.name}' was created with a different search space: "
            f"{difference} ({new_study})"
        )
    if row.device != measurements.device and not mix_devices:
        difference = difference_of(
            measurements.facts(row.device), measurements.facts(measurements.device)
        )
        raise StorageError(
            f"study '{row.name}' was created on another device, and measurements are not "
            f"comparable across devices: {difference} ({new_study}, or include the measurements of "
            f"all devices: {parameter('mix_devices', True)})"
        )
    for name, protocol in plan.protocols.items():
        facts = row.metrics.get(name, {})
        known = facts.get("protocol"), facts.get("learned_protocol")
        if known != (protocol, plan.learned.get(name)):
            # As plain JSON values, because a stored tuple is a list.
            now = json.loads(json.dumps(plan.settings[name]))
            difference = difference_of(facts.get("settings", {}), now)
            raise StorageError(
                f"study '{row.name}' was created with another protocol of {name}: "
                f"{difference or 'learned shapes were trained differently'} ({new_study})"
            )


def difference_of(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Describe the difference between two space files or devices.

    Args:
        old: Content of the space file, or facts of the device, with which a study was created.
        new: Current content or facts.

    Returns:
        Such as "train.epochs was 6, is 8"; empty if they are equivalent.
    """
    before, after = _flat(old), _flat(new)
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    missing = "absent"
    return "; ".join(
        f"{key} was {before.get(key, missing)}, is {after.get(key, missing)}" for key in keys
    )


def _flat(value: Any, path: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)  # type: ignore[assignment]
    else:
        # YAML has dates, JSON has not.
        return {path: json.dumps(value, default=str)}
    flat: dict[str, str] = {}
    for key, item in items:
        flat |= _flat(item, f"{path}.{key}" if path else str(key))
    return flat
