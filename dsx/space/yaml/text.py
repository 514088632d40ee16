"""YAML texts from outside: the core schema of YAML 1.2, within limits on size and nesting.

PyYAML reads YAML 1.1, in which `yes` is a boolean, `010` is 8, `1:30` is 90 and `1e-3` is a string.
"""

import math
import re
from typing import Any

import yaml

from dsx.errors import quoted

DEEPEST = 50
MOST_CHARACTERS = 100_000
MOST_NODES = 20_000
"""Values in a text, with those that aliases repeat."""
LARGEST_INTEGER = 2**63 - 1

STRING, MERGE, NULL, BOOL, INT, FLOAT = (
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "merge", "null", "bool", "int", "float")
)
_SCALARS = {
    MERGE: (r"<<", ["<"]),
    NULL: (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    BOOL: (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    INT: (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    FLOAT: (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
"""Forms of a plain scalar by tag, with the characters that it may begin with; all others are
strings.

Source: YAML 1.2.2, section 10.3.2; merge keys are those of YAML 1.1.
"""


class NotAllowed(yaml.MarkedYAMLError):
    """YAML that dsx does not read."""


class Loader(yaml.SafeLoader):
    """A parser of one YAML text."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML copies it on write

    def __init__(self, text: str) -> None:
        self._depth = 0
        super().__init__(text)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a value, and refuse tags and what is nested too deeply."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _refused(event, f"tags such as {quoted(tag)} are not supported")
        if self._depth > DEEPEST:
            raise _refused(event, f"nested more than {DEEPEST} levels deep")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


for _tag, (_form, _first) in _SCALARS.items():
    Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_form})\Z"), _first)


def _construct_int(loader: Loader, node: yaml.ScalarNode) -> int:
    word = node.value
    base = {"0o": 8, "0x": 16}.get(word[:2], 10)
    # Python refuses to read more digits than it could in reasonable time.
    number = int(word[2:] if base != 10 else word, base) if len(word) < 100 else math.inf
    if abs(number) > LARGEST_INTEGER:
        raise _refused(node, f"the number is out of range (allowed: up to {LARGEST_INTEGER})")
    return int(number)


def _construct_float(loader: Loader, node: yaml.ScalarNode) -> float:
    word = node.value.lower()
    number = float(word.replace(".inf", "inf").replace(".nan", "nan"))
    if math.isinf(number) and "inf" not in word:
        raise _refused(node, "the number is out of range (allowed: up to 1.8e308)")
    return number


Loader.add_constructor(INT, _construct_int)
Loader.add_constructor(FLOAT, _construct_float)


def _refused(place: Any, problem: str) -> NotAllowed:
    """Refuse a node or an event."""
    return NotAllowed(problem=problem, problem_mark=place.start_mark)
