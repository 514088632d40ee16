"""Selection of one design of a study, with everything that is needed to build it again."""

from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from torch import Tensor

from dsx.analysis import Entry, Estimate
from dsx.conv import ConvSpec
from dsx.conv.deploy import Choice as FormChoice
from dsx.errors import SpecError, StorageError, parameter
from dsx.search.resume import difference_of, with_stored_forms
from dsx.space import Design, SearchSpace, build_space
from dsx.space.yaml import read_source
from dsx.store.database import DamagedRow, StudyRow
from dsx.store.measurements import load_own_estimates
from dsx.store.studies import Study, load_front
from dsx.trust import restricted


@dataclass(frozen=True, kw_only=True)
class SelectedDesign:
    """A design with everything that is needed to build it again.

    Args:
        space: Search space of the design.
        design: The design.
        study: Name of the study; empty for a design of no study.
        trial: Number of the trial that evaluated the design.
        weights: Trained weights of the design; None if the study does not keep them.
        metrics: Estimates for these weights, not the mean over several seeds, by metric.
        form_cache: Deployed forms selected on this device. New forms are not stored in a database
            that is opened for reading.
        reference_times: Reference times of this device in milliseconds, by situation.
    """

    space: SearchSpace
    design: Design
    study: str = ""
    trial: int | None = None
    weights: Mapping[str, Tensor] | None = None
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    form_cache: MutableMapping[str, FormChoice] = field(default_factory=dict)
    reference_times: MutableMapping[str, float] = field(default_factory=dict)


def load_selected(
    study: Study, pick: str, space: SearchSpace | None = None, trust: bool = False
) -> SelectedDesign:
    """Load a design of a study.

    Args:
        study: The study.
        pick: Design to load, as `Front.pick` takes it.
        space: Search space of the study from a file of the user; required (unless `trust` is true)
            if the space names code outside dsx.
        trust: Whether to run code that only the database names.

    Returns:
        The design.

    Raises:
        DsxError: If there is no such design.
    """
    entry = _picked(study, pick)
    with permitted(space, trust):
        space = with_stored_forms(study_space(study.row, space), study.row)
        design = design_of(space, entry)
    return SelectedDesign(
        study=study.row.name,
        trial=entry.trial,
        space=space,
        design=design,
        weights=study.weights.load(entry.id),
        metrics=load_own_estimates(study.engine, study.row, entry.id, entry.device),
        form_cache=study.form_cache,
        reference_times=study.reference_times,
    )


def permitted(space: SearchSpace | None, trust: bool) -> AbstractContextManager[None]:
    """Restrict import paths to those of a search space while a study is read from a database.

    Args:
        space: Search space from a file of the user; None to permit no import path.
        trust: Whether to permit all import paths.

    Returns:
        The context in which the restriction applies.
    """
    return restricted(None if trust else frozenset() if space is None else space.imports)


def study_space(study: StudyRow, given: SearchSpace | None) -> SearchSpace:
    """Return the search space of a study.

    Args:
        study: Row of the study.
        given: Search space from a file of the user; None for that of the database.

    Returns:
        The given search space, or the one in the database.

    Raises:
        StorageError: If the given search space is not that of the study.
        SpaceError: If the search space in the database is invalid.
    """
    file = f"{study.space} (of study '{study.name}')"
    if given is None:
        return build_space(study.space, file, study.space_text)
    stored = read_source(file, study.space_text).content
    if difference := difference_of(stored, given.source.content):
        raise StorageError(
            f"{parameter('space')}: {given.source.file} is not the space of study "
            f"'{study.name}': {difference}"
        )
    return given


def design_of(space: SearchSpace, entry: Entry) -> Design:
    """Build the design of an entry.

    Args:
        space: Search space of the study.
        entry: Entry of the front.

    Returns:
        The design.

    Raises:
        DamagedRow: If the stored spec is not that of the design.
    """
    row = f"the database is damaged: dsx_designs, row id='{entry.id}': spec"
    try:
        specs = {name: ConvSpec.from_json(spec) for name, spec in entry.spec.items()}
        design = space.design(specs)
    except SpecError as error:
        raise DamagedRow(f"{row}: {error}") from error
    if design.id != entry.id:
        raise DamagedRow(f"{row} is that of another design ({design.id})")
    return design


def _picked(study: Study, pick: str) -> Entry:
    front = load_front(study)
    if pick in ("knee", "baseline", *front.objectives):
        return front.pick(pick)
    # A design is found by its id or trial on any device.
    return load_front(study, mix_devices=True).pick(pick)
