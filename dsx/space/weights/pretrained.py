"""Pretrained: weights from a file, loaded without running any code that it may hold."""

import fnmatch
import hashlib
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dsx.errors import DsxError, quoted, raise_out_of_memory, short
from dsx.files import open_regular
from dsx.space.weights.file_kinds import Kind, kind_of
from dsx.space.weights.plain_values import PLAIN_VALUES
from dsx.space.weights.state import ENCODED, decoded, state_of
from dsx.space.weights.state_dicts import (
    Named,
    StateDict,
    fitting_prefixes,
    named_for,
    state_dict_in,
)
from dsx.space.yaml.source import one_line

SAFE, PICKLED = (".safetensors",), (".pt", ".pth", ".bin", ".ckpt", ".tar")
SHOWN = 3
MOST_PATTERNS = 8
"""Patterns that an error lists as the advice for `skip`; more would be no advice."""


def read_weights(file: str, key: str | None = None) -> StateDict:
    """Read a state dict.

    Args:
        file: A .safetensors file, or one that torch.save wrote of a state dict, by itself or
            inside what a training script keeps. Its content decides which of both it is.
        key: The entry of the file that holds the state dict; None for the only one there is.

    Returns:
        Tensors by name, and the entry that they were in.

    Raises:
        DsxError: If there is no such file, it holds no state dict, or several and no key.
    """
    path = weights_path(file)
    suffix = path.suffix.lower()
    if suffix not in SAFE + PICKLED:
        allowed = ", ".join(SAFE + PICKLED)
        raise DsxError(f"{file}: not a kind of weight file that is known (allowed: {allowed})")
    try:
        with open_regular(path) as opened:
            kind = kind_of(opened, file)
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"there is no such file (looked for in {Path.cwd()})"
        raise DsxError(f"{file}: {problem}") from error
    # A ValueError where the name holds a null character.
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DsxError(f"{file}: cannot be read: {reason}") from error
    except DsxError as error:
        raise DsxError(f"{file}: {error}") from error
    safe = kind is Kind.SAFE or (kind is Kind.UNKNOWN and suffix in SAFE)
    content = _read_safe(path) if safe else _read_pickled(path)
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
            # The open file: by its name, torch would take the content for another kind.
            with open_regular(path) as opened, torch.serialization.safe_globals(PLAIN_VALUES):
                return torch.load(opened, map_location="cpu", weights_only=True)
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
        reason = one_line(error).partition(". ")[0]
        # Not the bare number or name with which a look-up inside torch failed.
        told = f": {reason}" if " " in reason else ""
        raise DsxError(f"{path}: is damaged, or was not written by torch.save{told}") from error


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
        skip: Wildcards of names that keep their fresh weights, or that only the state dict has.
        prefix: Prefix of the names to be used; None for the common prefix of all names, unless the
            names of the network share it.

    Returns:
        The weights under the names of the network, and what was taken off or left out.

    Raises:
        DsxError: If the state dict is that of another architecture, contains NaN or infinite
            numbers, or numbers of another kind; names the weights.
    """
    own = state_of(network)
    named = _without_skipped(own, state, skip, prefix)
    given = named.state
    wanted = [name for name in own if not _matches(name, skip) and not _may_lack(name)]
    problems = _problems(own, given, wanted)
    if problems:
        others = fitting_prefixes(wanted, state) if prefix is None else []
        # What has been taken off already is no advice.
        others = [other for other in others if other != named.prefix]
        fault = (
            _under_prefixes(others) if others else _another_architecture(problems, own, given, skip)
        )
        raise DsxError(fault)
    for name, tensor in given.items():
        if not name.endswith(ENCODED):
            _check_kind(name, tensor, own[name])
            _check_numbers(name, tensor, own[name])
    network.load_state_dict(decoded(given), strict=False)
    return named


def _without_skipped(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], skip: Sequence[str], prefix: str | None
) -> Named:
    """Leave out what is skipped, under the names of the network or those of the file."""
    named = named_for(own, state, prefix)
    # Wildcards of names that only the file has; they may keep a common prefix from being found.
    foreign = [wildcard for wildcard in skip if not _matched(own, wildcard)]
    for wildcard in foreign:
        if not _matched(named.state, wildcard) and not _matched(state, wildcard):
            raise DsxError(f"skip: {quoted(wildcard)} matches no weight of the network or the file")
    rest = {name: tensor for name, tensor in state.items() if not _matches(name, foreign)}
    if 0 < len(rest) < len(state):
        named = named_for(own, rest, prefix)
    kept = {name: tensor for name, tensor in named.state.items() if not _matches(name, skip)}
    skipped = [name for name in state if name not in rest]
    skipped += [name for name in named.state if name not in kept and name not in own]
    ignored = tuple(dict.fromkeys((*named.ignored, *skipped)))
    return replace(named, state=kept, ignored=ignored)


def _matches(name: str, wildcards: Iterable[str]) -> bool:
    plain = name.removesuffix(ENCODED)
    return any(fnmatch.fnmatchcase(plain, wildcard) for wildcard in wildcards)


def _matched(names: Iterable[str], wildcard: str) -> bool:
    return any(_matches(name, [wildcard]) for name in names)


def _may_lack(name: str) -> bool:
    """Check whether old files may lack an entry: a count of batches, or what is no tensor."""
    return name.endswith(("num_batches_tracked", ENCODED))


def _problems(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], wanted: Sequence[str]
) -> dict[str, str]:
    """Describe which weights are missing, unknown, or of another shape, by name."""
    # Tied weights may be there under one of their names only.
    there = {own[name].data_ptr() for name in given if name in own}
    problems = {
        name: "is missing"
        for name in wanted
        if name not in given and own[name].data_ptr() not in there
    }
    problems |= {name: "is unknown" for name in given if name not in own}
    return problems | {
        name: f"is {_shape(tensor)}, not {_shape(own[name])}"
        for name, tensor in given.items()
        if name in own and tensor.shape != own[name].shape and not name.endswith(ENCODED)
    }


def _under_prefixes(found: Sequence[str]) -> str:
    listed = ", ".join(map(short, found[:SHOWN]))
    return (
        f"all weights of the network are there under {listed} alongside others: specify "
        f"which to take (weights: {{file: ..., prefix: {short(found[0])}}})"
    )


def _another_architecture(
    problems: Mapping[str, str],
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    skip: Sequence[str],
) -> str:
    listed = "; ".join(
        f"{short(name.removesuffix(ENCODED))} {what}"
        for name, what in list(problems.items())[:SHOWN]
    )
    more = f", and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    # Counts of batches have the same shape in all networks.
    weights = [name for name in own if not _may_lack(name)]
    fitting = [name for name in weights if name in given and name not in problems]
    patterns = [*skip, *_patterns(problems, fitting)]
    told = f"the weights are of another architecture: {listed}{more}"
    if not fitting or len(patterns) > MOST_PATTERNS:
        return f"{told} ({len(fitting)} of {len(weights)} weights of the network fit)"
    value = ", ".join(f"'{pattern}'" for pattern in patterns)
    if len(patterns) > 1:
        value = f"[{value}]"
    return f"{told} (to leave out what does not fit: weights: {{file: ..., skip: {value}}})"


def _patterns(problems: Iterable[str], fitting: Sequence[str]) -> list[str]:
    """List few wildcards that match all names with a problem, and no name that fits."""
    groups: dict[str, list[str]] = {}
    for name in problems:
        plain = name.removesuffix(ENCODED)
        # The shortest one above the name that no fitting name has.
        parts = plain.split(".")
        starts = (".".join(parts[: number + 1]) + "." for number in range(len(parts) - 1))
        free = (start for start in starts if not any(other.startswith(start) for other in fitting))
        groups.setdefault(next(free, plain), []).append(plain)
    return [
        _pattern(names[0]) if len(names) == 1 else f"{_pattern(start)}*"
        for start, names in groups.items()
    ]


def _pattern(name: str) -> str:
    """Let any character stand for those that mean something in wildcards or in YAML."""
    return re.sub(r"[^\w.\-]", "?", name)


def _check_kind(name: str, tensor: Tensor, own: Tensor) -> None:
    """Refuse quantised numbers without their scale, and numbers that would be rounded."""
    if tensor.dtype == own.dtype:
        return
    kinds = f"{short(name)} holds {_dtype(tensor)} in the file and {_dtype(own)} in the network"
    if own.is_floating_point() or own.is_complex():
        # Floating-point numbers of one byte come with a scale as integers do.
        if not tensor.is_floating_point() or tensor.element_size() == 1:
            raise DsxError(
                f"{kinds}: numbers that are quantised need their scale (save the weights as "
                "floating-point numbers)"
            )
        return
    # Floating-point numbers of one byte cannot be compared themselves.
    given = tensor.double() if tensor.is_floating_point() else tensor
    if not torch.equal(given.to(own.dtype).to(given.dtype), given):
        raise DsxError(f"{kinds}, which cannot hold all its numbers (fractions, or too large)")


def _check_numbers(name: str, tensor: Tensor, own: Tensor) -> None:
    """Refuse NaN, and infinite numbers that the network does not have itself (in a mask)."""
    converted = tensor.to(own.dtype)
    if not converted.is_floating_point():
        return
    if converted.isnan().any():
        raise DsxError(f"the weights are damaged: {name} contains NaN")
    if (converted.isinf() & ~own.isinf()).any():
        raise DsxError(f"the weights are damaged: {name} contains infinite numbers")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


@dataclass(frozen=True, kw_only=True)
class WeightsTaken:
    """Weights that were read from a file.

    Args:
        file: Path of the file.
        key: The entry of the file that holds the state dict; empty if the file is one.
        prefix: Prefix that was removed from all names; empty if there was none.
        ignored: Names that were left out: they count, do not begin with the prefix, or are skipped
            and not of the network.
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
