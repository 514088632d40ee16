"""Choice: one design of a study, with all that is needed to build it again."""

from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from torch import Tensor

from dsx.analysis import Entry, Estimate
from dsx.conv import ConvSpec
from dsx.conv.deploy import Choice as FormChoice
from dsx.errors import SpecError, StorageError
from dsx.measure import Device
from dsx.parameters import parameter
from dsx.search.resume import difference_of
from dsx.space import Design, SearchSpace, build_space
from dsx.space.yaml import read_source
from dsx.store.database import DamagedRow, Engine, StudyRow, open_database
from dsx.store.measurements import Calibration, FormCache, load_own
from dsx.store.studies import find_study, load_front
from dsx.store.weights import Weights, training_id
from dsx.trust import restricted


@dataclass(frozen=True, kw_only=True)
class StudyChoice:
    """One design of a study.

    Args:
        study: Name of the study.
        trial: Number of the trial that measured the design.
        space: The space that the study was begun with.
        design: The design.
        weights: Its trained weights; None where the study does not keep them.
        metrics: What was measured with these weights, not the mean over several seeds; of what is
            timed all readings together.
        known: Deployed forms chosen on this device; new ones are not written down, so that a
            database can be exported from that cannot be written.
        references: How long the sentinel takes on this device, in calm moments.
    """

    study: str
    trial: int
    space: SearchSpace
    design: Design
    weights: Mapping[str, Tensor] | None
    metrics: Mapping[str, Estimate]
    form_cache: MutableMapping[str, FormChoice]
    reference_times: MutableMapping[str, float]


def load_choice(
    storage: str,
    study: str | None,
    pick: str,
    device: Device,
    space: SearchSpace | None = None,
    trust: bool = False,
) -> StudyChoice:
    """Find a design of a study.

    Args:
        storage: Any SQLAlchemy URL.
        study: Name of the study; None for the newest.
        pick: Which design, as `Front.pick` takes it.
        device: This machine.
        space: The space of the study, from a file of the user's; needed, or `trust`, where it
            names code outside dsx.
        trust: Whether code that only the database names may run.

    Returns:
        The choice.

    Raises:
        DsxError: If there is no such study or design.
    """
    engine = open_database(storage, create=False)
    row = find_study(engine, study)
    entry = _picked(engine, row, pick)
    with permitted(space, trust):
        space = study_space(row, space)
        design = design_of(space, entry)
    trained = {n: facts for n, facts in row.metrics.items() if facts.get("stage") == "trained"}
    training = training_id({name: facts["protocol"] for name, facts in trained.items()})
    return StudyChoice(
        study=row.name,
        trial=entry.trial,
        space=space,
        design=design,
        weights=Weights(engine, storage, row.name, training).load(entry.id),
        metrics=load_own(engine, row, entry.id, entry.device),
        form_cache=FormCache(engine, device.fingerprint, measurements=None),
        reference_times=Calibration(engine, device.fingerprint, measurements=None),
    )


def permitted(space: SearchSpace | None, trust: bool) -> AbstractContextManager[None]:
    """Follow the import paths of a space alone, while a study is read from a database.

    Args:
        space: From a file of the user's; None for no path at all.
        trust: Whether all paths are followed.
    """
    return restricted(None if trust else frozenset() if space is None else space.imports)


def study_space(study: StudyRow, given: SearchSpace | None) -> SearchSpace:
    """Find the space of a study.

    Args:
        study: The study.
        given: The user's own file of it; None for what the database holds.

    Returns:
        The space that was given, or the one in the database.

    Raises:
        StorageError: If the study has another space than the one that was given.
        SpaceError: If the space in the database does not hold together.
    """
    file = f"{study.space} (as study '{study.name}' has it)"
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
    """Give the design of a front's entry.

    Args:
        space: The space of the study.
        entry: The entry.

    Returns:
        Its design.

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


def _picked(engine: Engine, study: StudyRow, pick: str) -> Entry:
    front = load_front(engine, study.name)
    if pick in ("knee", "baseline", *front.objectives):
        return front.pick(pick)
    # A design by its id or its trial, on whatever device it was measured.
    return load_front(engine, study.name, mix_devices=True).pick(pick)
