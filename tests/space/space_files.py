"""A space file to take apart, shared by the tests that need a space."""

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


def changed(old: str, new: str) -> str:
    """Give the plain file with one part of its text exchanged."""
    assert PLAIN.count(old) == 1, old
    return PLAIN.replace(old, new)


def ruled(*rules: str, model: str = "small_cnn") -> str:
    """Give the plain file with other rules, each in YAML's braces, for a network."""
    lines = "".join(f"  - {rule}\n" for rule in rules)
    return changed(SLOTS, f"slots:\n{lines}").replace("small_cnn", model)


def space(text: str = PLAIN) -> SearchSpace:
    """Build the space that a text describes."""
    return build_space("tested", "tested.yaml", text)


def complaint(text: str) -> str:
    """Say what is wrong with a text: one line, that begins with the file and the line."""
    with pytest.raises(SpaceError, match=r"^tested\.yaml:[0-9]+: ") as caught:
        space(text)
    assert str(caught.value) == " ".join(str(caught.value).split())
    return str(caught.value)
