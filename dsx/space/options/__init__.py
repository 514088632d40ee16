"""Options: the specs that a search space allows for each slot."""

from dsx.space.options.choices import KEEPS, Choices

__all__ = ["KEEPS", "Choices"]
