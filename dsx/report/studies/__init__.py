"""The list of studies, failed trials and archived studies."""

from dsx.report.studies.archive import check_folder, write_archive
from dsx.report.studies.failed import print_failed
from dsx.report.studies.reader import (
    is_folder,
    load_archive,
    read_pareto,
    read_results,
)
from dsx.report.studies.studies import print_studies

__all__ = [
    "check_folder",
    "is_folder",
    "load_archive",
    "print_failed",
    "print_studies",
    "read_pareto",
    "read_results",
    "write_archive",
]
