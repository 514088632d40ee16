"""Export of a design as files that do not require dsx, verified in a fresh process."""

from dsx.export._base import Exporter
from dsx.export.bundle import Bundle, export
from dsx.export.model_py import writing_notes
from dsx.export.verify import fresh_logits

__all__ = ["Bundle", "Exporter", "export", "fresh_logits", "writing_notes"]
