"""dsx archive: write a study as a self-contained folder."""

from pathlib import Path
from typing import Annotated

from dsx.cli._options import (
    DEFAULT_STORAGE,
    MixOption,
    StorageOption,
    StudyOrFolderArgument,
    path_option,
)


def archive(
    study: StudyOrFolderArgument = None,
    out: Annotated[
        Path | None,
        path_option("Folder to write to.  [default: studies/STUDY]", "FOLDER"),
    ] = None,
    mix_devices: MixOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
) -> None:
    """Write a study as a self-contained folder: space, measurements, front, plot and page."""
    from dsx.report.front import print_message
    from dsx.report.studies import check_folder, read_results, write_archive
    from dsx.report.text import working
    from dsx.store.studies import check_study_name

    if out is not None:
        check_folder(out)
    with working("writing the archive"):
        results = read_results(study, storage, mix_devices)
        # The name of a damaged database must not become the path of a folder.
        check_study_name(results.front.study)
        written = write_archive(results, out or Path("studies") / results.front.study)
    print_message(f"Wrote {', '.join(str(file) for file in written)}")
