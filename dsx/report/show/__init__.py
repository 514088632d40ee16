"""One design of a study: its slots, its values with their provenance, and the baseline's."""

from dsx.report.show.rows import ShownDesign
from dsx.report.show.table import print_design

__all__ = ["ShownDesign", "print_design"]
