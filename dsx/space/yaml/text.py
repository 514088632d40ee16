"""Parser of YAML with the core schema of YAML 1.2 and limits on size and nesting.

PyYAML implements YAML 1.1, in which `yes` is a boolean, `010` is 8, `1:30` is 90 and `1e-3` is a
string.
"""

import math
import re
from typing import Any

import yaml

from dsx.errors import quoted

MAX_DEPTH = 50
MAX_CHARACTERS = 100_000
MAX_NODES = 20_000
"""Largest number of values in a text, including those repeated by aliases."""
MAX_INTEGER = 2**63 - 1

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
"""Pattern of a plain scalar by tag, with its possible first characters; other scalars are strings.

Source: YAML 1.2.2, section 10.3.2; merge keys are those of YAML 1.1.
"""


class UnsupportedYamlError(yaml.MarkedYAMLError):
    """YAML that dsx does not support."""


class Loader(yaml.SafeLoader):
    """Loader for one YAML text."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML copies it on write

    def __init__(self, text: str) -> None:
        self._depth = 0
        super().__init__(text)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, and reject tags and excessive nesting.

        Args:
            parent: Parent node.
            index: Index of the node in its parent.

        Returns:
            The node.

        Raises:
            UnsupportedYamlError: If the node has a tag or is nested too deeply.
        """
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _unsupported(event, f"tags such as {quoted(tag)} are not supported")
        if self._depth > MAX_DEPTH:
            raise _unsupported(event, f"nested more than {MAX_DEPTH} levels deep")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


for _tag, (_form, _first) in _SCALARS.items():
    Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_form})\Z"), _first)


def _construct_int(loader: Loader, node: yaml.ScalarNode) -> int:
    text = node.value
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    # Python refuses to convert very long strings of digits.
    number = int(text[2:] if base != 10 else text, base) if len(text) < 100 else math.inf
    if abs(number) > MAX_INTEGER:
        raise _unsupported(node, f"the number is out of range (allowed: up to {MAX_INTEGER})")
    return int(number)


def _construct_float(loader: Loader, node: yaml.ScalarNode) -> float:
    text = node.value.lower()
    number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
    if math.isinf(number) and "inf" not in text:
        raise _unsupported(node, "the number is out of range (allowed: up to 1.8e308)")
    return number


Loader.add_constructor(INT, _construct_int)
Loader.add_constructor(FLOAT, _construct_float)


def _unsupported(place: Any, problem: str) -> UnsupportedYamlError:
    """Build the error for a node or an event."""
    return UnsupportedYamlError(problem=problem, problem_mark=place.start_mark)
