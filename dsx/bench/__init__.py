"""Benchmarks of dsx on this device, one file per benchmark."""

from dsx.bench._base import Bench, Page, Row
from dsx.bench._pages import check_page, write_page

__all__ = ["Bench", "Page", "Row", "check_page", "write_page"]
