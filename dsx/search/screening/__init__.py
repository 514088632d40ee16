"""Screening: the search for designs by models of their values, before anything is measured."""

from dsx.search.screening.history import Known, Reading
from dsx.search.screening.models import ModelQuality
from dsx.search.screening.regression import Process
from dsx.search.screening.scales import LogErrors
from dsx.search.screening.screener import Screener
from dsx.search.screening.tables import Rows, Tables

__all__ = ["Known", "LogErrors", "ModelQuality", "Process", "Reading", "Rows", "Screener", "Tables"]
