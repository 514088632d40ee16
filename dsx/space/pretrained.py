"""Pretrained: weights from a file, loaded without running any code that it may hold."""

import argparse
import fnmatch
import hashlib
import pickle
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dsx.errors import DsxError, raise_out_of_memory, short
from dsx.files import open_regular
from dsx.space.source import one_line
from dsx.space.state import ENCODED, decoded, state_of
from dsx.space.state_dicts import (
    Named,
    StateDict,
    fitting_prefixes,
    named_for,
    state_dict_in,
)

SAFE, PICKLED = (".safetensors",), (".pt", ".pth", ".bin", ".ckpt", ".tar")
SHOWN = 3
_SAFE_CLASSES: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [argparse.Namespace]
"""Classes that files often hold alongside weights, and that run no code when they are read."""


def read_weights(file: str, key: str | None = None) -> StateDict:
    """Read a state dict.

    Args:
        file: A .safetensors file, or one that torch.save wrote of a state dict, by itself or
            inside what a training script keeps.
        key: The entry of the file that holds the state dict; None for the only one there is.

    Returns:
        Tensors by name, and the entry that they were in.

    Raises:
        DsxError: If there is no such file, it holds no state dict, or several and no key.
    """
    path = weights_path(file)
    kind = path.suffix.lower()
    if kind not in SAFE + PICKLED:
        allowed = ", ".join(SAFE + PICKLED)
        raise DsxError(f"{file}: not a kind of weight file that is known (allowed: {allowed})")
    try:
        with open_regular(path) as opened:
            if not opened.read(1):
                raise DsxError(f"{file}: is empty (0 bytes)")
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"there is no such file (looked for in {Path.cwd()})"
        raise DsxError(f"{file}: {problem}") from error
    # A ValueError where the name holds a null character.
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DsxError(f"{file}: cannot be read: {reason}") from error
    content = _read_safe(path) if kind in SAFE else _read_pickled(path)
    try:
        return state_dict_in(content, key)
    except DsxError as error:
        raise DsxError(f"{file}: {error}") from error


def weights_path(file: str) -> Path:
    """Expand `~` in the path of a weight file.

    Args:
        file: Path as the space file gives it.

    Returns:
        The path; the file may be missing.

    Raises:
        DsxError: If no file could have this path.
    """
    try:
        path = Path(file).expanduser()
        path.exists()
    # A user that does not exist; a name that is too long.
    except (RuntimeError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DsxError(f"{short(file)}: cannot be read: {reason}") from error
    return path


def _read_safe(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DsxError(f"{path}: cannot be read: {one_line(error)}") from error


def _read_pickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # About how the file is pickled; what is wrong with it is an error.
            warnings.simplefilter("ignore")
            with torch.serialization.safe_globals(_SAFE_CLASSES):
                return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Torch's advice is to trust the file; its message names the first class it refuses.
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        named = f"; it needs {short(found[1])}" if found else ""
        raise DsxError(
            f"{path}: holds more than tensors, or is damaged{named}; unpickling it could run any "
            "code (save the network's state_dict() alone, best as .safetensors)"
        ) from error
    # A damaged file can make torch fail in many ways; all of them are about the file.
    except Exception as error:
        raise_out_of_memory(error)
        # The first sentence; the next ones are about the source code of torch.
        reason = one_line(error).partition(". ")[0] or type(error).__name__
        raise DsxError(f"{path}: is damaged, or was not written by torch.save: {reason}") from error


def take_weights(
    network: nn.Module,
    state: Mapping[str, Tensor],
    skip: Sequence[str],
    prefix: str | None = None,
) -> Named:
    """Give a network the weights of a state dict, in place.

    Args:
        network: The network; all of it has to be there, but for what is skipped.
        state: Tensors by name.
        skip: Wildcards of names that keep their fresh weights.
        prefix: Prefix of the names to be used; None for the common prefix of all names, unless the
            names of the network share it.

    Returns:
        The weights under the names of the network, and what was taken off or left out.

    Raises:
        DsxError: If the state dict is that of another architecture, or contains NaN or infinite
            numbers; names the weights.
    """
    own = state_of(network)
    for wildcard in skip:
        if not fnmatch.filter(own, wildcard):
            raise DsxError(f"skip: '{wildcard}' matches no weight of the network")

    def kept(name: str) -> bool:
        return not any(fnmatch.fnmatchcase(name, wildcard) for wildcard in skip)

    named = named_for(own, state, prefix)
    given = {name: tensor for name, tensor in named.state.items() if kept(name)}
    wanted = [name for name in own if kept(name) and not _may_lack(name)]
    problems = _problems(own, given, wanted)
    if problems:
        raise DsxError(_another_architecture(problems, wanted, state, prefix))
    for name, tensor in given.items():
        _check_numbers(name, tensor, own[name])
    network.load_state_dict(decoded(given), strict=False)
    return named


def _may_lack(name: str) -> bool:
    """Check whether old files may lack an entry: a count of batches, or what is no tensor."""
    return name.endswith(("num_batches_tracked", ENCODED))


def _problems(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], wanted: Sequence[str]
) -> list[str]:
    """List which weights are missing, unknown, or of another shape."""
    # Tied weights may be there under one of their names only.
    there = {own[name].data_ptr() for name in given if name in own}
    problems = [
        f"{name} is missing"
        for name in wanted
        if name not in given and own[name].data_ptr() not in there
    ]
    problems += [f"{name} is unknown" for name in given if name not in own]
    return problems + [
        f"{name} is {_shape(tensor)}, not {_shape(own[name])}"
        for name, tensor in given.items()
        if name in own and tensor.shape != own[name].shape and not name.endswith(ENCODED)
    ]


def _another_architecture(
    problems: Sequence[str], wanted: Sequence[str], state: Mapping[str, Tensor], prefix: str | None
) -> str:
    found = fitting_prefixes(wanted, state) if prefix is None else []
    if found:
        listed = ", ".join(map(short, found[:SHOWN]))
        return (
            f"all weights of the network are there under {listed} alongside others: specify "
            f"which to take (weights: {{file: ..., prefix: {short(found[0])}}})"
        )
    more = f", and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return (
        f"the weights are of another architecture: {'; '.join(problems[:SHOWN])}{more} "
        "(to leave some weights fresh: weights: {file: ..., skip: 'fc.*'})"
    )


def _check_numbers(name: str, tensor: Tensor, own: Tensor) -> None:
    """Refuse NaN, and infinite numbers that the network does not have itself (in a mask)."""
    converted = tensor.to(own.dtype)
    if name.endswith(ENCODED) or not converted.is_floating_point():
        return
    if converted.isnan().any():
        raise DsxError(f"the weights are damaged: {name} contains NaN")
    if (converted.isinf() & ~own.isinf()).any():
        raise DsxError(f"the weights are damaged: {name} contains infinite numbers")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


@dataclass(frozen=True, kw_only=True)
class WeightsTaken:
    """Weights that were read from a file.

    Args:
        file: Path of the file.
        key: The entry of the file that holds the state dict; empty if the file is one.
        prefix: Prefix that was removed from all names; empty if there was none.
        ignored: Names that were left out: they count, or do not begin with the prefix.
        wrapping: Whether names of torch's wrappers were taken out of the middle of names.
    """

    file: str
    key: str
    prefix: str
    ignored: tuple[str, ...]
    wrapping: bool

    @property
    def notes(self) -> list[str]:
        """One sentence; none if the file is the state dict, with the names of the network."""
        done = [f"taken from the entry {short(self.key)}"] if self.key else []
        done += [f"without the prefix {short(self.prefix)} of their names"] if self.prefix else []
        done += ["without 'module' and '_orig_mod' inside their names"] if self.wrapping else []
        if self.ignored:
            more = f" and {len(self.ignored) - 1} more" if len(self.ignored) > 1 else ""
            done.append(f"leaving out {short(self.ignored[0].removesuffix(ENCODED))}{more}")
        return [f"weights of {short(self.file)}: {', '.join(done)}"] if done else []


def digest(state: Mapping[str, Tensor]) -> str:
    """Hash a state dict to twelve hexadecimal digits, blind to the kind of its file."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}".encode())
        found.update(state[name].reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()[:12]
