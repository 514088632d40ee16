"""The list of studies, failed trials and archived studies."""

from dsx.report.studies.archive import check_folder, save_study
from dsx.report.studies.failed import print_failed
from dsx.report.studies.studies import print_studies

__all__ = ["check_folder", "print_failed", "print_studies", "save_study"]
