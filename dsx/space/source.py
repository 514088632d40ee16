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
        return SpaceError(f"{self.file}:{line}: {f'{key}: ' if key else ''}{problem}")


def read_source(file: str, text: str) -> Source:
    """Parse a YAML text.

    Args:
        file: Path or name as the user knows it.
        text: The file's content.

    Returns:
        The source.

    Raises:
        SpaceError: If the text is not YAML, or a key stands twice.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Path, int] = {}
        if node is not None:
            _note_lines(file, node, (), lines)
        content = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise SpaceError(f"{file}:{line}: not YAML: {error.problem or error}") from error
    except yaml.YAMLError as error:
        raise SpaceError(f"{file}:1: not YAML: {' '.join(str(error).split())}") from error
    return Source(file=file, text=text, content=content, lines=lines)


def _note_lines(file: str, node: yaml.Node, path: Path, lines: dict[Path, int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _note_lines(file, item, (*path, number), lines)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            line = key.start_mark.line + 1
            if here in lines:
                raise SpaceError(
                    f"{file}:{line}: {key.value}: stands twice (first in line {lines[here]})"
                )
            lines[here] = line
            _note_lines(file, value, here, lines)
