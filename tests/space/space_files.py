"""A minimal space file, shared by the tests that require a space."""

import pytest

from dsx.errors import SpaceError
from dsx.space import SearchSpace
from dsx.space.space import build_space

PLAIN = """\
model: small_cnn
model_args: {width: 8}
data: digits
train: {epochs: 1, batch_size: 64, learning_rate: 0.2, seed: 0}
measure: {batch: 1}
slots:
  - match: "stages.*"
    groups: [1, 2]
objectives: {params: minimize}
"""
SLOTS = PLAIN[PLAIN.index("slots:") : PLAIN.index("objectives:")]


def replaced(old: str, new: str) -> str:
    """Return the plain file with one part of its text replaced."""
    assert PLAIN.count(old) == 1, old
    return PLAIN.replace(old, new)


def with_rules(*rules: str, model: str = "small_cnn") -> str:
    """Return the plain file with other rules, each in YAML's flow style, and another model."""
    lines = "".join(f"  - {rule}\n" for rule in rules)
    return replaced(SLOTS, f"slots:\n{lines}").replace("small_cnn", model)


def space(text: str = PLAIN) -> SearchSpace:
    """Build the space that a text specifies."""
    return build_space("tested", "tested.yaml", text)


def error_message(text: str) -> str:
    """Return the one-line error for a text, which begins with the file and the line."""
    with pytest.raises(SpaceError, match=r"^tested\.yaml:[0-9]+: ") as caught:
        space(text)
    assert str(caught.value) == " ".join(str(caught.value).split())
    return str(caught.value)
