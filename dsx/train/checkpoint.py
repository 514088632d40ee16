"""Checkpoints of a training, written atomically, from which only the same training can resume."""

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

import torch

from dsx.errors import CheckpointError, WorkFailed, raise_out_of_memory
from dsx.files import make_folder, open_regular, writing

VERSION = 1
State = Mapping[str, Any]
"""Plain values and tensors; `about` identifies the training, `ended` states whether it is over."""


def write(path: Path, state: State) -> None:
    """Write a checkpoint atomically, and replace an earlier one.

    Args:
        path: Path of the checkpoint.
        state: State of the training.

    Raises:
        WorkFailed: If the checkpoint cannot be written.
    """
    try:
        make_folder(path.parent)
        # `read` has raised an error for any file that dsx did not write.
        with writing(path, replace=True) as partial, partial.open("wb") as file:
            torch.save({"version": VERSION, **state}, file)
    # The writer of torch raises a RuntimeError if the disk is full.
    except (OSError, RuntimeError) as error:
        reason = str(error) if isinstance(error, OSError) else "is the disk full?"
        raise WorkFailed(f"{path} cannot be written: {reason}") from error


def read(path: Path, about: Mapping[str, Any]) -> State | None:
    """Read a checkpoint without running any code that it may contain.

    Args:
        path: Path of the checkpoint.
        about: Description of the training to resume.

    Returns:
        The state; None if the file does not exist.

    Raises:
        CheckpointError: If the file is damaged, or belongs neither to this training nor to one
            that differs only in having ended after fewer epochs.
    """
    try:
        with open_regular(path) as file:
            state = _state(file)
    except OSError as error:
        # A broken link is an error, too, because it is not a missing checkpoint of dsx.
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return None
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from error
    except BadZipFile as error:
        problem = "is damaged or not a checkpoint of this version of dsx"
        raise CheckpointError(path, problem) from error
    problem = _difference(state, about)
    if problem:
        raise CheckpointError(path, f"belongs to another training: {problem}")
    return state


def losses_in(path: Path) -> list[float] | None:
    """Read the losses of the training of a checkpoint.

    Args:
        path: Path of the checkpoint.

    Returns:
        The mean loss of each completed epoch; None if the file is missing or damaged.
    """
    try:
        with open_regular(path) as file:
            state = _state(file)
    except (OSError, BadZipFile):
        return None
    return [float(loss) for loss in state["losses"]]


def is_checkpoint(path: Path) -> bool:
    """Check whether a file is an undamaged checkpoint of any training.

    Args:
        path: Path of the file.

    Returns:
        Whether the file is a checkpoint of this version of dsx.

    Raises:
        OSError: If the file cannot be opened or is not a regular file.
    """
    with open_regular(path) as file:
        try:
            _state(file)
        except BadZipFile:
            return False
    return True


def _state(file: BinaryIO) -> State:
    """Load an open checkpoint; raises BadZipFile if it is damaged or not a checkpoint."""
    try:
        with ZipFile(file) as content:
            # torch does not verify the checksums.
            if content.testzip() is not None:
                raise BadZipFile
        file.seek(0)
        state: State = torch.load(file, map_location="cpu", weights_only=True)
        about = state["about"]
        if state["version"] != VERSION or not isinstance(about["train"], dict):
            raise BadZipFile
        _ = state["ended"]
    # Reading a damaged file can raise any exception, such as an OSError for a wrong offset.
    except Exception as error:
        raise_out_of_memory(error)
        raise BadZipFile from error
    return state


def _difference(state: State, about: Mapping[str, Any]) -> str:
    """Describe the first difference between two trainings; empty if there is none."""
    stored, current = dict(state["about"]), dict(about)
    old, new = stored.pop("train"), current.pop("train")
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key) and not (key == "epochs" and _continues(state, old, new)):
            return f"train.{key}: {old.get(key)} in the checkpoint, {new.get(key)} here"
    for key in current:
        lines = str(stored.get(key)).split("\n"), str(current[key]).split("\n")
        for one, other in zip_longest(*lines):
            if one != other:
                before, now = ((line or "nothing").strip() for line in (one, other))
                return f"{key}: {before} in the checkpoint, {now} here"
    return ""


def _continues(state: State, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Check whether a training can continue a shorter one that has ended."""
    return bool(state["ended"]) and old["epochs"] < new["epochs"]
