"""Studies and their trials in a database."""

from dsx.store.studies.conditions import describe_unfolded
from dsx.store.studies.failed_trials import FailedStudy, FailedTrial, load_failed
from dsx.store.studies.names import check_study_name
from dsx.store.studies.proxies import Proxy, ProxyReport, load_proxies, proxies_of
from dsx.store.studies.read import front, load_front, load_values
from dsx.store.studies.results import StudyResults, load_results
from dsx.store.studies.studies import StudySummary, list_studies
from dsx.store.studies.study import Study, find_study
from dsx.store.studies.study_rows import (
    add_study,
    delete_study,
    has_results,
    has_trials,
    load_measured,
    load_spec,
    load_study,
    set_reference,
)
from dsx.store.studies.trials import Outcome, Trials, load_times

__all__ = [
    "FailedStudy",
    "FailedTrial",
    "Outcome",
    "Proxy",
    "ProxyReport",
    "Study",
    "StudyResults",
    "StudySummary",
    "Trials",
    "add_study",
    "check_study_name",
    "delete_study",
    "describe_unfolded",
    "find_study",
    "front",
    "has_results",
    "has_trials",
    "list_studies",
    "load_failed",
    "load_front",
    "load_measured",
    "load_proxies",
    "load_results",
    "load_spec",
    "load_study",
    "load_times",
    "load_values",
    "proxies_of",
    "set_reference",
]
