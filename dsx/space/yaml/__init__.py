"""Space files: YAML with source positions, the schema and its error messages."""

from dsx.space.yaml.schema import Augment, Direction, Measure, Rule, Train
from dsx.space.yaml.source import read_source

__all__ = ["Augment", "Direction", "Measure", "Rule", "Train", "read_source"]
