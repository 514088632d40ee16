"""YAML files with the line of each key, so that every error message can state a line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from dsx.errors import SpaceError, printable, quoted
from dsx.space.yaml.text import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_NODES,
    MERGE,
    STRING,
    Loader,
    UnsupportedYamlError,
)

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Text of a space file and the lines of its keys.

    Args:
        file: Path or name as given by the user.
        text: Text of the whole file.
        content: Parsed plain values.
        lines: Line number of each key, starting at 1, by path ("slots", 0, "groups").
    """

    file: str
    text: str
    content: Any
    lines: Mapping[Path, int] = field(repr=False)

    def error(self, path: Path, problem: str) -> SpaceError:
        """Build the one-line error for a key.

        Args:
            path: Path of the key, or of an item of its value.
            problem: Description of what is wrong.

        Returns:
            The error, to be raised by the caller.
        """
        existing = path
        while existing and existing not in self.lines:
            existing = existing[:-1]
        line = self.lines.get(existing, 1)
        key = ".".join(str(part) for part in path)
        return SpaceError(one_line(f"{self.file}:{line}: {f'{key}: ' if key else ''}{problem}"))


def one_line(problem: object) -> str:
    """Return a text, such as an error message of another library, on one line.

    Args:
        problem: Text or exception, which may have several lines.

    Returns:
        The printable text with all white space collapsed.
    """
    return printable(" ".join(str(problem).split()))


def read_source(file: str, text: str) -> Source:
    """Parse a YAML text.

    Args:
        file: Name of the file, or of the option, for error messages.
        text: Content of the file.

    Returns:
        The source.

    Raises:
        SpaceError: If the text is not YAML or is too large, a key is duplicated or is not a
            string, or a value is out of range.
    """
    if len(text) > MAX_CHARACTERS:
        raise SpaceError(f"{file}: too large (allowed: {MAX_CHARACTERS:,} characters)")
    lines: dict[Path, int] = {}
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _Walk(file, lines).visit(node, (), ())
        content = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise _not_read(file, error) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        problem = f"the character {quoted(chr(error.character))} is not allowed"
        raise SpaceError(f"{file}:{line}:{column}: not YAML: {problem}") from error
    return Source(file=file, text=text, content=content, lines=lines)


def _not_read(file: str, error: yaml.MarkedYAMLError) -> SpaceError:
    mark = error.problem_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = ", ".join(filter(None, (error.context, error.problem)))
    kind = "" if isinstance(error, UnsupportedYamlError) else "not YAML: "
    return SpaceError(one_line(f"{file}:{line}:{column}: {kind}{problem}"))


@dataclass
class _Walk:
    """Traversal that records the line of each key and rejects what a space file may not use."""

    file: str
    lines: dict[Path, int]
    visited: int = 0

    def visit(self, node: yaml.Node, path: Path, above: tuple[yaml.Node, ...]) -> None:
        self.visited += 1
        self.lines.setdefault(path, node.start_mark.line + 1)
        if node in above:
            raise self._error(node, path, "refers to itself")
        if len(above) > MAX_DEPTH:
            raise self._error(node, (), f"nested more than {MAX_DEPTH} levels deep (by aliases)")
        if self.visited > MAX_NODES:
            raise self._error(node, (), f"more than {MAX_NODES:,} values (aliases repeat them)")
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self.visit(item, (*path, number), (*above, node))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here = (*path, self._key(key, path))
                if here in self.lines:
                    problem = f"duplicate key (first defined at line {self.lines[here]})"
                    raise self._error(key, here, problem)
                self.lines[here] = key.start_mark.line + 1
                self.visit(value, here, (*above, node))

    def _key(self, key: yaml.Node, path: Path) -> str:
        if key.tag not in (STRING, MERGE) or not isinstance(key, yaml.ScalarNode):
            given = f"{quoted(key.value)}: " if isinstance(key, yaml.ScalarNode) else ""
            raise self._error(key, path, f"{given}key must be a string; quote it")
        return str(key.value)

    def _error(self, node: yaml.Node, path: Path, problem: str) -> SpaceError:
        return Source(
            file=self.file, text="", content=None, lines={path: node.start_mark.line + 1}
        ).error(path, problem)
