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
    from dsx.store.studies import front

    if out is not None:
        check_folder(out)
    with working("reading the study"):
        found = front(study, storage=storage, mix_devices=mix_devices)
    folder = Path("studies") / found.study if out is None else out
    check_folder(folder)
    with working("writing the archive"):
        written = save_study(storage, found.study, folder, mix_devices)
    print_message(f"Wrote {', '.join(str(file) for file in written)}")
