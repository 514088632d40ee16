"""Bring together what `dsx measure` needs: the space, the design, and how it is measured."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dsx.activity import OnStatus
from dsx.cli._given import option
from dsx.errors import DsxError
from dsx.measure.backends import unsupported
from dsx.measure.machine import crowded
from dsx.search.design import Single, load_choice
from dsx.space import Design, SearchSpace, load_space, outside, parse_settings, remeasured
from dsx.store.measurements import MeasurementStore, open_measurements
from dsx.store.studies import Study
from dsx.trust import trust_paths


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be measured.

    Args:
        space: With the `measure` that was asked for.
        design: Of its network.
        about: Where the design is from, as plain JSON values.
        notes: What the user should know of it.
        weights: Its trained weights, where a study keeps them.
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
    ) -> Single:
        """Open the database, unless the study is open already, and return the measuring object."""
        return Single(
            self.space,
            self.design,
            self.measurements or open_measurements(storage, patience),
            train=train,
            fresh=fresh,
            weights=self.weights,
            on_status=on_status,
        )


@dataclass(frozen=True, kw_only=True)
class Base:
    """The design that dials are applied to.

    Args:
        space: Search space of the design.
        design: The design.
        about: Where it is from, as plain JSON values.
        weights: Trained weights of the design, where a study keeps them.
        measurements: Measurements in the database of the study; None for a design of no study.
    """

    space: SearchSpace
    design: Design
    about: Mapping[str, object]
    weights: Mapping[str, Tensor] | None
    measurements: MeasurementStore | None = None


def start_of(name: str, dials: Sequence[str]) -> Base:
    """Take the baseline of a space.

    Args:
        name: The space.
        dials: Settings of dials, whose import paths may be followed.

    Returns:
        The baseline.

    Raises:
        SpaceError: If the space does not hold together.
    """
    _give_paths(dials)
    space = load_space(name)
    return Base(space=space, design=space.baseline, about={}, weights=None)


def chosen(
    study: str | None,
    pick: str | None,
    dials: Sequence[str],
    storage: str,
    own: SearchSpace | None,
    trust: bool,
    patience: float,
) -> Base:
    """Take a design of a study.

    Args:
        study: Name of the study; None for the newest.
        pick: Which design of it; None for its knee.
        dials: Settings of dials, whose import paths may be followed.
        storage: Database of the study.
        own: The user's own space file of the study, if it was given.
        trust: Whether code that only the database names may run.
        patience: Seconds to wait for a database server that becomes unreachable.

    Returns:
        The design.

    Raises:
        DsxError: If there is no such study or design.
    """
    _give_paths(dials)
    opened = Study.open(storage, study, writable=True, patience=patience)
    choice = load_choice(opened, pick or "knee", own, trust)
    return Base(
        space=choice.space,
        design=choice.design,
        about={"study": choice.study, "trial": choice.trial},
        weights=choice.weights,
        measurements=opened.measurements,
    )


def _give_paths(dials: Sequence[str]) -> None:
    # The import path of a shape follows its dial: kernel_shape:package.module:attribute.
    words = [item.strip() for dial in dials for item in re.split("[=,()]", dial)]
    trust_paths([*words, *(item.partition(":")[2] for item in words)])


def asked(base: Base, dials: Sequence[str], settings: Mapping[str, Any]) -> Asked:
    """Apply dials and settings to a design.

    Args:
        base: The design.
        dials: Settings of dials.
        settings: Keys of `measure` and what they shall be; None as the space says.

    Returns:
        What is to be measured.

    Raises:
        DsxError: If a setting of dials or of `measure` cannot be.
    """
    design = parse_settings(base.space, dials, base.design.specs)
    space = remeasured(base.space, **settings)
    if any(value is not None for value in settings.values()):
        _check(space)
    # Otherwise the weights are of another design, or sums in another order could have led
    # elsewhere.
    same = design.id == base.design.id and settings.get("threads") is None
    return Asked(
        space=space,
        design=design,
        about={**base.about, "outside": outside(base.space, design)},
        notes=_notes(space, design),
        weights=base.weights if same else None,
        measurements=base.measurements,
    )


def _check(space: SearchSpace) -> None:
    if problem := unsupported(space.file.measure):
        raise DsxError(f"{option(problem.key)}: {problem.reason}")


def _notes(space: SearchSpace, design: Design) -> list[str]:
    crowd = [note] if (note := crowded(space.file.measure.threads)) else []
    slots = outside(space, design)
    if not slots:
        return crowd
    more = f" and {len(slots) - 3} more" if len(slots) > 3 else ""
    named = ", ".join(slots[:3])
    return [*crowd, f"note: outside of the space, which does not offer this for {named}{more}"]
