"""A YAML file with the place of each of its keys, so that every complaint can name a line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from dsx.errors import SpaceError

Path = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML as people write it: 1e-3 is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


@dataclass(frozen=True, kw_only=True)
class Source:
    """The text of a space and where its keys stand.

    Args:
        file: Path or name as the user knows it.
        text: The whole file.
        content: Its plain values.
        lines: Line of each key, from 1, by path ("slots", 0, "groups").
    """

    file: str
    text: str
    content: Any
    lines: Mapping[Path, int] = field(repr=False)

    def error(self, path: Path, problem: str) -> SpaceError:
        """Make the one-line complaint about a key.

        Args:
            path: To the key, or into its value.
            problem: What is wrong with it.

        Returns:
            The error, to be raised.
        """
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known, 1)
        key = ".".join(str(part) for part in path)
        return SpaceError(one_line(f"{self.file}:{line}: {f'{key}: ' if key else ''}{problem}"))


def one_line(problem: object) -> str:
    """Write what may have several lines, as the errors of other libraries do, as one."""
    return " ".join(str(problem).split())


def read_source(file: str, text: str) -> Source:
    """Parse a YAML text.

    Args:
        file: Path or name as the user knows it.
        text: The file's content.

    Returns:
        The source.

    Raises:
        SpaceError: If the text is not YAML, a key stands twice or is no word, or a value cannot
            be read.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Path, int] = {}
        if node is not None:
            _Walk(file, loader, lines).visit(node, (), ())
        content = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        words = ", ".join(filter(None, (error.context, error.problem)))
        raise SpaceError(one_line(f"{file}:{line}: not YAML: {words}")) from error
    except yaml.YAMLError as error:
        raise SpaceError(one_line(f"{file}:1: not YAML: {error}")) from error
    return Source(file=file, text=text, content=content, lines=lines)


@dataclass(frozen=True)
class _Walk:
    """Notes the line of each key, and complains of what YAML takes and a space does not."""

    file: str
    loader: _Loader
    lines: dict[Path, int]

    def visit(self, node: yaml.Node, path: Path, above: tuple[yaml.Node, ...]) -> None:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if node in above:
            raise self._error(node, path, "refers to itself")
        if isinstance(node, yaml.ScalarNode):
            self._check_value(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self.visit(item, (*path, number), (*above, node))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here = (*path, self._key(key, path))
                if here in self.lines:
                    problem = f"stands twice (first in line {self.lines[here]})"
                    raise self._error(key, here, problem)
                self.lines[here] = key.start_mark.line + 1
                self.visit(value, here, (*above, node))

    def _key(self, key: yaml.Node, path: Path) -> str:
        if key.tag not in _KEY_TAGS or not isinstance(key, yaml.ScalarNode):
            word = key.value if isinstance(key, yaml.ScalarNode) else "what stands here"
            raise self._error(key, path, f"{word} is not a word; as a key it needs quotes")
        return str(key.value)

    def _check_value(self, node: yaml.ScalarNode, path: Path) -> None:
        try:
            self.loader.construct_object(node)
        # How PyYAML says that a date has a 13th month, or that `!!bool maybe` is neither.
        except (ValueError, KeyError) as error:
            kind = node.tag.rpartition(":")[2]
            raise self._error(node, path, f"'{node.value}' is not a valid {kind}") from error

    def _error(self, node: yaml.Node, path: Path, problem: str) -> SpaceError:
        return Source(
            file=self.file, text="", content=None, lines={path: node.start_mark.line + 1}
        ).error(path, problem)
