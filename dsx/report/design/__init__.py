"""One design: its values, profile, backends and export."""

from dsx.report.design.backends import backends_document, print_backends
from dsx.report.design.exported import print_bundle
from dsx.report.design.measured import print_measured
from dsx.report.design.profile import print_layers

__all__ = [
    "backends_document",
    "print_backends",
    "print_bundle",
    "print_layers",
    "print_measured",
]
