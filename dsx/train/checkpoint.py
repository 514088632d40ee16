"""A training on disk: written whole or not at all, and taken up by the same training only."""

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
"""Plain values and tensors. `about` says what training it is, `ended` whether it is at its end."""


def write(path: Path, state: State) -> None:
    """Write a checkpoint in place of an earlier one; at no moment there is half of one.

    Args:
        path: The file.
        state: Of the training.

    Raises:
        WorkFailed: If it cannot be written.
    """
    try:
        make_folder(path.parent)
        # `read` has refused whatever dsx did not write.
        with writing(path, replace=True) as partial, partial.open("wb") as file:
            torch.save({"version": VERSION, **state}, file)
    # Torch's own writer fails with a RuntimeError where a file cannot grow.
    except (OSError, RuntimeError) as error:
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
        CheckpointError: If the file is damaged, or of another training than this one or a shorter
            one that has ended.
    """
    try:
        with open_regular(path) as file:
            state = _state(file)
    except OSError as error:
        # A link is a file of somebody, also where it leads nowhere.
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return None
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from error
    except BadZipFile as error:
        problem = "is damaged, or no checkpoint of a training by this version of dsx"
        raise CheckpointError(path, problem) from error
    problem = _difference(state, about)
    if problem:
        raise CheckpointError(path, f"is of another training: {problem}")
    return state


def is_checkpoint(path: Path) -> bool:
    """Check whether a file is an undamaged checkpoint, of whichever training.

    Args:
        path: The file.

    Returns:
        Whether this version of dsx has written it.

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
    """Load a checkpoint that is open; raises BadZipFile if it is none."""
    try:
        with ZipFile(file) as content:
            # Torch does not verify the checksums itself.
            if content.testzip() is not None:
                raise BadZipFile
        file.seek(0)
        state: State = torch.load(file, map_location="cpu", weights_only=True)
        about = state["about"]
        if state["version"] != VERSION or not isinstance(about["train"], dict):
            raise BadZipFile
        _ = state["ended"]
    # The content of a damaged file can lead to any error: an offset in it to an OSError.
    except Exception as error:
        raise_out_of_memory(error)
        raise BadZipFile from error
    return state


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
