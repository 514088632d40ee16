"""A training on disk: written whole or not at all, and taken up by the same training only."""

import os
from collections.abc import Mapping
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from dsx.errors import DsxError, WorkFailed

VERSION = 1
PARTIAL = ".part"
State = Mapping[str, Any]
"""Plain values and tensors. `about` says what training it is, `ended` whether it is at its end."""


def write(path: Path, state: State) -> None:
    """Write a checkpoint in place of an earlier one; at no moment there is half of one.

    Args:
        path: The file.
        state: Of the training.

    Raises:
        WorkFailed: If it cannot be written.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save({"version": VERSION, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    # Torch's own writer fails with a RuntimeError where a file cannot grow.
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        reason = str(error) if isinstance(error, OSError) else "is the disk full?"
        raise WorkFailed(f"{path} cannot be written: {reason}") from error


def read(path: Path, about: Mapping[str, Any]) -> State | None:
    """Read a checkpoint, without running any code that it might hold.

    Args:
        path: The file.
        about: The training that wants to go on.

    Returns:
        The state; None if there is no file.

    Raises:
        DsxError: If the file is damaged, or of another training than this one or a shorter one
            that has ended.
    """
    try:
        _check_sums(path)
        state: State = torch.load(path, map_location="cpu", weights_only=True)
        if state["version"] != VERSION:
            raise BadZipFile
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DsxError(f"{path} cannot be read: {error}") from error
    # What a damaged file is mistaken for can raise anything.
    except Exception as error:
        raise DsxError(
            f"{path} is damaged, or no checkpoint of a training by this version of dsx; delete it, "
            "or name another file"
        ) from error
    problem = _difference(state, about)
    if problem:
        raise DsxError(f"{path} is of another training: {problem}; delete it, or name another file")
    return state


def _check_sums(path: Path) -> None:
    """Refuse a file in which a bit has turned; torch would take it."""
    with ZipFile(path) as file:
        if file.testzip() is not None:
            raise BadZipFile


def _difference(state: State, about: Mapping[str, Any]) -> str:
    """Say what is different first, or nothing."""
    there, here = dict(state["about"]), dict(about)
    old, new = there.pop("train"), here.pop("train")
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key) and not (key == "epochs" and _continues(state, old, new)):
            return f"train.{key}: {old.get(key)} there, {new.get(key)} here"
    for key in here:
        for one, other in zip_longest(str(there.get(key)).split("\n"), str(here[key]).split("\n")):
            if one != other:
                was, is_now = ((line or "nothing").strip() for line in (one, other))
                return f"{key}: {was} there, {is_now} here"
    return ""


def _continues(state: State, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Say whether one training can go on where a shorter one has ended."""
    return bool(state["ended"]) and old["epochs"] < new["epochs"]
