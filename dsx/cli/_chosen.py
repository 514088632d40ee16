"""Bring together what an export needs: the study's choice, its space, its weights."""

from pathlib import Path

from dsx.export import Bundle, export
from dsx.measure import this_device
from dsx.search.design import load_choice
from dsx.space import SearchSpace


def export_chosen(
    storage: str,
    study: str | None,
    pick: str,
    out: Path,
    force: bool,
    space: SearchSpace | None,
    trust: bool,
) -> Bundle:
    """Export a design of a study.

    Args:
        storage: sqlite:///FILE or postgresql://USER@HOST/NAME.
        study: Name of the study; None for the newest.
        pick: Which design, as `Front.pick` takes it.
        out: Folder to write.
        force: Whether an existing folder may be replaced.
        space: The user's own space file of the study, if it was given.
        trust: Whether code that only the database names may run.

    Returns:
        What was written.

    Raises:
        DsxError: If there is no such study or design, or the folder exists.
        WorkFailed: If the files do not compute what the search measured.
    """
    choice = load_choice(storage, study, pick, this_device(), space, trust)
    return export(
        choice.space,
        choice.design,
        out,
        weights=choice.weights,
        searched=choice.metrics,
        known=choice.known,
        references=choice.references,
        labels={"study": choice.study, "trial": choice.trial},
        force=force,
    )
