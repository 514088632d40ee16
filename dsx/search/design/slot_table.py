"""The slots of a design: geometry, spec and closed-form cost of each."""

from dataclasses import dataclass

from dsx.analysis import Entry
from dsx.conv import Cost, notation
from dsx.search.design.selection import design_of, permitted, study_space
from dsx.space import SearchSpace, Slot
from dsx.space.yaml import read_source
from dsx.store.database import StudyRow
from dsx.store.studies import StudyResults
from dsx.trust import import_paths


@dataclass(frozen=True, kw_only=True)
class SlotRow:
    """One slot of a design.

    Attributes:
        slot: The slot.
        notation: Spec of the design in this slot.
        cost: Cost of that spec; with learned shapes the cost expected from their density.
    """

    slot: Slot
    notation: str
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class SlotTable:
    """The slots of a design.

    Attributes:
        rows: The slots in the order of their first call.
        total: Cost of the whole network.
    """

    rows: tuple[SlotRow, ...]
    total: Cost


def load_slots(
    results: StudyResults, entry: Entry, space: SearchSpace | None = None, trust: bool = False
) -> SlotTable | None:
    """Build the network of a study to describe the slots of one of its designs.

    Args:
        results: The results of the study.
        entry: The design.
        space: Search space from the user's own file; needed, or `trust`, if the study's space
            imports code outside dsx.
        trust: Whether to run any code that the study's space imports.

    Returns:
        The slots; None if the space imports code outside dsx that is not permitted to run.

    Raises:
        DsxError: If the given space is not that of the study, or the network cannot be built.
    """
    front = results.front
    text = read_source(front.space, results.space_text).content
    if space is None and not trust and import_paths(text):
        return None
    row = StudyRow(name=front.study, space=front.space, space_text=results.space_text)
    with permitted(space, trust):
        found = study_space(row, space)
        design = design_of(found, entry)
    rows = []
    for slot in found.analysis.slots:
        spec = design.specs[slot.name]
        code = notation(spec, slot.in_channels, slot.out_channels)
        rows.append(SlotRow(slot=slot, notation=code, cost=slot.cost(spec)))
    return SlotTable(rows=tuple(rows), total=found.analysis.cost(design.specs))
