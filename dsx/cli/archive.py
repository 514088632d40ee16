"""dsx archive: write a study as a self-contained folder."""

from pathlib import Path
from typing import Annotated

from dsx.cli._options import (
    DEFAULT_STORAGE,
    MixOption,
    StorageOption,
    StudyArgument,
    path_option,
)


def archive(
    study: StudyArgument = None,
    out: Annotated[
        Path | None,
        path_option("Folder to write.  [default: studies/STUDY]", "FOLDER"),
    ] = None,
    mix_devices: MixOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
) -> None:
    """Write a study as a folder: its space, every measurement, the front, a plot and a page."""
    from dsx.report.front import print_message
    from dsx.report.studies import check_folder, save_study
    from dsx.report.text import working
    from dsx.store.studies import Study

    if out is not None:
        check_folder(out)
    with working("writing the archive"):
        found = Study.open(storage, study)
        written = save_study(found, out or Path("studies") / found.row.name, mix_devices)
    print_message(f"Wrote {', '.join(str(file) for file in written)}")
