"""Requests to measure one design: its space, its specs, and the settings of the measurement."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dsx.activity import OnStatus
from dsx.cli._given import option
from dsx.errors import DsxError
from dsx.measure.backends import forms_note, unsupported, with_other_settings
from dsx.measure.machine import crowded
from dsx.search.design import DesignMeasurement, load_selected
from dsx.space import (
    Design,
    SearchSpace,
    load_space,
    outside,
    parse_settings,
)
from dsx.store.measurements import MeasurementStore, open_measurements
from dsx.store.studies import Study
from dsx.trust import trust_paths


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to measure one design.

    Args:
        space: Search space with the requested settings in `measure`.
        design: Design to be measured.
        about: Origin of the design as plain JSON values.
        notes: Notes for the user about the design.
        weights: Trained weights of the design; None if no study stores them.
        measurements: Measurements in the database of the study; None for a design of no study.
    """

    space: SearchSpace
    design: Design
    about: Mapping[str, object]
    notes: Sequence[str]
    weights: Mapping[str, Tensor] | None
    measurements: MeasurementStore | None

    def single(
        self, storage: str, train: bool, fresh: bool, patience: float, on_status: OnStatus
    ) -> DesignMeasurement:
        """Prepare the measurement; the database is opened unless a study has opened it.

        Args:
            storage: URL of the database.
            train: Whether the design may be trained.
            fresh: Whether to repeat measurements that are in the database.
            patience: Seconds to wait for a database server that becomes unreachable.
            on_status: Function that receives the status events.

        Returns:
            The object that measures the design and the baseline.
        """
        return DesignMeasurement(
            self.space,
            self.design,
            self.measurements or open_measurements(storage, patience),
            train=train,
            fresh=fresh,
            weights=self.weights,
            on_status=on_status,
        )


@dataclass(frozen=True, kw_only=True)
class StartingDesign:
    """The design to which settings of slots are applied.

    Args:
        space: Search space of the design.
        design: The design.
        about: Origin of the design as plain JSON values.
        weights: Trained weights of the design; None if no study stores them.
        measurements: Measurements in the database of the study; None for a design of no study.
    """

    space: SearchSpace
    design: Design
    about: Mapping[str, object]
    weights: Mapping[str, Tensor] | None
    measurements: MeasurementStore | None = None


def baseline_of(name: str, dials: Sequence[str]) -> StartingDesign:
    """Load a space and return its baseline.

    Args:
        name: Name or path of the space.
        dials: Settings of slots, whose import paths are permitted.

    Returns:
        The baseline.

    Raises:
        SpaceError: If the space is invalid.
    """
    _permit_paths(dials)
    space = load_space(name)
    return StartingDesign(space=space, design=space.baseline, about={}, weights=None)


def study_design(
    study: str | None,
    pick: str | None,
    dials: Sequence[str],
    storage: str,
    own: SearchSpace | None,
    trust: bool,
    patience: float,
) -> StartingDesign:
    """Load a design of a study.

    Args:
        study: Name of the study; None for the newest study.
        pick: Pick of the design; None for the knee.
        dials: Settings of slots, whose import paths are permitted.
        storage: URL of the database.
        own: Space from the user's own file; None if no file is given.
        trust: Whether to run any code that the stored space imports.
        patience: Seconds to wait for a database server that becomes unreachable.

    Returns:
        The design.

    Raises:
        DsxError: If there is no such study or design.
    """
    _permit_paths(dials)
    opened = Study.open(storage, study, writable=True, patience=patience)
    choice = load_selected(opened, pick or "knee", own, trust)
    return StartingDesign(
        space=choice.space,
        design=choice.design,
        about={"study": choice.study, "trial": choice.trial},
        weights=choice.weights,
        measurements=opened.measurements,
    )


def _permit_paths(dials: Sequence[str]) -> None:
    # The import path of a kernel shape follows its dial: kernel_shape:package.module:attribute.
    words = [item.strip() for dial in dials for item in re.split("[=,()]", dial)]
    trust_paths([*words, *(item.partition(":")[2] for item in words)])


def request(base: StartingDesign, dials: Sequence[str], settings: Mapping[str, Any]) -> Request:
    """Apply settings of slots and of the measurement to a design.

    Args:
        base: The design.
        dials: Settings of slots.
        settings: Keys of `measure` to their values; None for the value of the space.

    Returns:
        The request to measure the design.

    Raises:
        DsxError: If a setting is invalid.
    """
    design = parse_settings(base.space, dials, base.design.specs)
    space = with_other_settings(base.space, **settings)
    _check(space, settings)
    # The weights belong to one design, and another number of threads changes the order of sums.
    same = design.id == base.design.id and settings.get("threads") is None
    return Request(
        space=space,
        design=design,
        about={**base.about, "outside": outside(base.space, design)},
        notes=_notes(space, design),
        weights=base.weights if same else None,
        measurements=base.measurements,
    )


def _check(space: SearchSpace, settings: Mapping[str, Any]) -> None:
    problem = unsupported(space.file.measure)
    if problem is not None and settings.get(problem.key) is None:
        raise space.source.error(("measure", problem.key), problem.reason)
    if problem is not None:
        raise DsxError(f"{option(problem.key)}: {problem.reason}")


def _notes(space: SearchSpace, design: Design) -> list[str]:
    notes = [note] if (note := crowded(space.file.measure.threads)) else []
    notes += [f"note: {note}"] if (note := forms_note(space.file.measure)) else []
    slots = outside(space, design)
    if not slots:
        return notes
    more = f" and {len(slots) - 3} more" if len(slots) > 3 else ""
    named = ", ".join(slots[:3])
    return [*notes, f"note: the design is outside of the space, in the slots {named}{more}"]
