"""Draft of a space file: reading the options, and writing the file."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dsx import files
from dsx.errors import DsxError, quoted, unwritable_in_one_line
from dsx.nets import image_shape
from dsx.space import Draft, draft_space
from dsx.space.yaml import read_source
from dsx.trust import trust_paths

MOST_NUMBERS = 100_000_000
"""Largest number of values in an image."""


def draft(model: str, arguments: str, shape: str | None) -> Draft:
    """Draft a space for a network.

    Args:
        model: Name of a file in `dsx/nets`, or `package.module:callable`.
        arguments: Keyword arguments of the network as YAML.
        shape: Shape of an image, channels x rows x columns; None for the default of a network of
            dsx.

    Returns:
        The draft.

    Raises:
        DsxError: If an option is invalid, or the network cannot be used.
    """
    trust_paths([model])
    return draft_space(model, _arguments(arguments), _shape(model, shape))


def check_file(file: Path) -> None:
    """Check that a space file can be written, before anything is computed.

    Args:
        file: Path with the suffix .yaml or .yml.

    Raises:
        DsxError: If the file exists, has another suffix, or cannot be written.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise DsxError(f"--write: {quoted(file)} is not a name of a space file (allowed: *.yaml)")
    with _one_line(file):
        files.check_writable(file.parent)
        files.remove_abandoned(file.absolute())
        if file.exists() or file.is_symlink():
            raise FileExistsError


def write(text: str, file: Path) -> None:
    """Write a space file; an existing file is never replaced.

    Args:
        text: Content of the file.
        file: Path with the suffix .yaml or .yml.

    Raises:
        DsxError: If the file exists, has another suffix, or cannot be written.
    """
    check_file(file)
    with _one_line(file):
        files.write(file, text, replace=False)


@contextmanager
def _one_line(file: Path) -> Iterator[None]:
    with unwritable_in_one_line("--write", file):
        try:
            yield
        except FileExistsError as error:
            raise DsxError(f"--write: '{file}' already exists (choose another name)") from error


def _arguments(text: str) -> dict[str, Any]:
    found = read_source("--model-args", text).content
    if not isinstance(found, dict):
        raise DsxError(
            f"--model-args: {quoted(text)} is not a mapping of arguments (example: '{{width: 32}}')"
        )
    return found


def _shape(model: str, text: str | None) -> tuple[int, int, int]:
    if text is None:
        known = image_shape(model)
        if known is None:
            raise DsxError(
                "--input: required for this model (channels x rows x columns: 3x224x224)"
            )
        return known
    match = re.fullmatch(
        r"([1-9][0-9]*)x([1-9][0-9]*)x([1-9][0-9]*)", text.replace(" ", "").lower()
    )
    if match is None:
        allowed = "allowed: channels x rows x columns, such as 3x224x224"
        raise DsxError(f"--input: {quoted(text)} is not the shape of an image ({allowed})")
    channels, rows, columns = map(int, match.groups())
    if channels * rows * columns > MOST_NUMBERS:
        allowed = f"allowed: {MOST_NUMBERS:,} numbers"
        raise DsxError(f"--input: {quoted(text)} is too large for an image ({allowed})")
    return channels, rows, columns
