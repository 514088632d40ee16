"""Pretrained weights, loaded from a file without running any code that it may contain."""

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
from dsx.space.weights.file_kinds import FileKind, detect_kind
from dsx.space.weights.plain_values import PLAIN_VALUES
from dsx.space.weights.state import ENCODED, decode, state_of
from dsx.space.weights.state_dicts import (
    RenamedState,
    StateDict,
    find_prefixes,
    match_names,
    state_dict_in,
)
from dsx.space.yaml.source import one_line

SAFE, PICKLED = (".safetensors",), (".pt", ".pth", ".bin", ".ckpt", ".tar")
SHOWN = 3
MAX_PATTERNS = 8
"""Largest number of patterns that an error message suggests for `skip`."""


def read_weights(file: str, key: str | None = None) -> StateDict:
    """Read a state dict from a file.

    Args:
        file: Path of a .safetensors file, or of a file written by torch.save that contains a state
            dict, alone or in the checkpoint of a training script. The content determines the
            format.
        key: Entry of the file that holds the state dict; None for the only one in the file.

    Returns:
        Tensors by name, and the entry in which they were found.

    Raises:
        DsxError: If there is no such file, it contains no state dict, or it contains several and no
            key is given.
    """
    path = weights_path(file)
    suffix = path.suffix.lower()
    if suffix not in SAFE + PICKLED:
        allowed = ", ".join(SAFE + PICKLED)
        raise DsxError(f"{file}: unknown extension of a weight file (allowed: {allowed})")
    try:
        with open_regular(path) as opened:
            kind = detect_kind(opened, file)
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"there is no such file (in {Path.cwd()})"
        raise DsxError(f"{file}: {problem}") from error
    # A ValueError is raised if the name contains a null character.
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DsxError(f"{file}: cannot be read: {reason}") from error
    except DsxError as error:
        raise DsxError(f"{file}: {error}") from error
    safe = kind is FileKind.SAFE or (kind is FileKind.UNKNOWN and suffix in SAFE)
    content = _read_safe(path) if safe else _read_pickled(path)
    try:
        return state_dict_in(content, key)
    except DsxError as error:
        raise DsxError(f"{file}: {error}") from error


def weights_path(file: str) -> Path:
    """Expand `~` in the path of a weight file.

    Args:
        file: Path as given in the space file.

    Returns:
        The path; the file may be missing.

    Raises:
        DsxError: If the path is invalid.
    """
    try:
        path = Path(file).expanduser()
        path.exists()
    # The user after `~` does not exist, or the name is too long.
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
            # The warnings concern the pickle protocol; actual faults are raised as errors.
            warnings.simplefilter("ignore")
            # The opened file, since torch selects the format by the extension of a path.
            with open_regular(path) as opened, torch.serialization.safe_globals(PLAIN_VALUES):
                return torch.load(opened, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # The message of torch advises to trust the file; it names the first rejected class.
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        required = f"; it requires {short(found[1])}" if found else ""
        raise DsxError(
            f"{path}: contains more than tensors, or is damaged{required}; unpickling it could run "
            "arbitrary code (save only the state_dict() of the network, preferably as .safetensors)"
        ) from error
    # torch raises many kinds of exceptions on damaged files.
    except Exception as error:
        raise_out_of_memory(error)
        # Only the first sentence, since the following ones refer to the source code of torch.
        reason = one_line(error).partition(". ")[0]
        # A single word is a key or an index of a failed look-up inside torch.
        detail = f": {reason}" if " " in reason else ""
        raise DsxError(f"{path}: is damaged, or was not written by torch.save{detail}") from error


def load_weights(
    network: nn.Module,
    state: Mapping[str, Tensor],
    skip: Sequence[str],
    prefix: str | None = None,
) -> RenamedState:
    """Load a state dict into a network, in place.

    Args:
        network: Network, all of whose weights must be in the state dict, except for skipped ones.
        state: Tensors by name.
        skip: Wildcards of names to be ignored: weights of the network that keep their initial
            values, or that exist only in the state dict.
        prefix: Prefix of the names to be loaded; None for the common prefix of all names, unless
            the names of the network have it too.

    Returns:
        The weights under the names of the network, with the removed prefix and the ignored names.

    Raises:
        DsxError: If the state dict is of another architecture, contains NaN or infinite values, or
            has an incompatible dtype; names the weights.
    """
    own = state_of(network)
    renamed = _without_skipped(own, state, skip, prefix)
    given = renamed.state
    required = [name for name in own if not _matches(name, skip) and not _is_optional(name)]
    problems = _problems(own, given, required)
    if problems:
        others = find_prefixes(required, state) if prefix is None else []
        # The prefix that was already removed is not a useful suggestion.
        others = [other for other in others if other != renamed.prefix]
        problem = (
            _under_prefixes(others) if others else _another_architecture(problems, own, given, skip)
        )
        raise DsxError(problem)
    for name, tensor in given.items():
        if not name.endswith(ENCODED):
            _check_dtype(name, tensor, own[name])
            _check_finite(name, tensor, own[name])
    network.load_state_dict(decode(given), strict=False)
    return renamed


def _without_skipped(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], skip: Sequence[str], prefix: str | None
) -> RenamedState:
    """Remove skipped entries by their names in the network or in the file."""
    renamed = match_names(own, state, prefix)
    # Wildcards for names that only the file has, which may prevent finding a common prefix.
    foreign = [wildcard for wildcard in skip if not _matches_any(own, wildcard)]
    for wildcard in foreign:
        if not _matches_any(renamed.state, wildcard) and not _matches_any(state, wildcard):
            raise DsxError(f"skip: {quoted(wildcard)} matches no weight of the network or the file")
    rest = {name: tensor for name, tensor in state.items() if not _matches(name, foreign)}
    if 0 < len(rest) < len(state):
        renamed = match_names(own, rest, prefix)
    kept = {name: tensor for name, tensor in renamed.state.items() if not _matches(name, skip)}
    skipped = [name for name in state if name not in rest]
    skipped += [name for name in renamed.state if name not in kept and name not in own]
    ignored = tuple(dict.fromkeys((*renamed.ignored, *skipped)))
    return replace(renamed, state=kept, ignored=ignored)


def _matches(name: str, wildcards: Iterable[str]) -> bool:
    plain = name.removesuffix(ENCODED)
    return any(fnmatch.fnmatchcase(plain, wildcard) for wildcard in wildcards)


def _matches_any(names: Iterable[str], wildcard: str) -> bool:
    return any(_matches(name, [wildcard]) for name in names)


def _is_optional(name: str) -> bool:
    """Check whether older files may lack an entry: a batch counter, or an encoded value."""
    return name.endswith(("num_batches_tracked", ENCODED))


def _problems(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], required: Sequence[str]
) -> dict[str, str]:
    """Describe the missing and unknown weights, and those of another shape, by name."""
    # Tied weights may be stored under only one of their names.
    present = {own[name].data_ptr() for name in given if name in own}
    problems = {
        name: "is missing"
        for name in required
        if name not in given and own[name].data_ptr() not in present
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
        f"the file contains all weights of the network under {listed}, and other tensors: specify "
        f"the prefix (weights: {{file: ..., prefix: {short(found[0])}}})"
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
    # Batch counters have the same shape in all networks.
    weights = [name for name in own if not _is_optional(name)]
    fitting = [name for name in weights if name in given and name not in problems]
    patterns = [*skip, *_patterns(problems, fitting)]
    problem = f"the weights are of another architecture: {listed}{more}"
    if not fitting or len(patterns) > MAX_PATTERNS:
        return f"{problem} ({len(fitting)} of {len(weights)} weights of the network match)"
    value = ", ".join(f"'{pattern}'" for pattern in patterns)
    if len(patterns) > 1:
        value = f"[{value}]"
    return f"{problem} (to skip these weights: weights: {{file: ..., skip: {value}}})"


def _patterns(problems: Iterable[str], fitting: Sequence[str]) -> list[str]:
    """Return a short list of wildcards that match all names with a problem and no other name."""
    groups: dict[str, list[str]] = {}
    for name in problems:
        plain = name.removesuffix(ENCODED)
        # The shortest prefix of the name that no matching weight has.
        parts = plain.split(".")
        starts = (".".join(parts[: number + 1]) + "." for number in range(len(parts) - 1))
        free = (start for start in starts if not any(other.startswith(start) for other in fitting))
        groups.setdefault(next(free, plain), []).append(plain)
    return [
        _pattern(names[0]) if len(names) == 1 else f"{_pattern(start)}*"
        for start, names in groups.items()
    ]


def _pattern(name: str) -> str:
    """Replace characters that are special in wildcards or in YAML by question marks."""
    return re.sub(r"[^\w.\-]", "?", name)


def _check_dtype(name: str, tensor: Tensor, own: Tensor) -> None:
    """Raise an error for quantised values without a scale, and for a lossy conversion."""
    if tensor.dtype == own.dtype:
        return
    dtypes = f"{short(name)} is {_dtype(tensor)} in the file and {_dtype(own)} in the network"
    if own.is_floating_point() or own.is_complex():
        # Floating-point numbers of one byte require a scale, as integers do.
        if not tensor.is_floating_point() or tensor.element_size() == 1:
            raise DsxError(
                f"{dtypes}: quantised values require a scale (save the weights as floating-point "
                "numbers)"
            )
        return
    # Comparison is not implemented for floating-point numbers of one byte.
    given = tensor.double() if tensor.is_floating_point() else tensor
    if not torch.equal(given.to(own.dtype).to(given.dtype), given):
        raise DsxError(f"{dtypes}, which cannot represent all values (fractions, or too large)")


def _check_finite(name: str, tensor: Tensor, own: Tensor) -> None:
    """Raise an error for NaN, and for infinite values where the network has none (as in a mask)."""
    converted = tensor.to(own.dtype)
    if not converted.is_floating_point():
        return
    if converted.isnan().any():
        raise DsxError(f"the weights are damaged: {name} contains NaN")
    if (converted.isinf() & ~own.isinf()).any():
        raise DsxError(f"the weights are damaged: {name} contains infinite values")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


@dataclass(frozen=True, kw_only=True)
class LoadedWeights:
    """Weights that were loaded from a file.

    Args:
        file: Path of the file.
        key: Entry of the file that holds the state dict; empty if the file itself is the state
            dict.
        prefix: Prefix that was removed from all names; empty if there was none.
        ignored: Names that were ignored: counters, names without the prefix, and skipped names that
            the network does not have.
        wrapping: Whether names of wrappers of torch were removed from the middle of names.
    """

    file: str
    key: str
    prefix: str
    ignored: tuple[str, ...]
    wrapping: bool

    @property
    def notes(self) -> list[str]:
        """A list of one sentence; empty if the names in the file are those of the network."""
        changes = [f"read from the entry {short(self.key)}"] if self.key else []
        changes += (
            [f"without the prefix {short(self.prefix)} of their names"] if self.prefix else []
        )
        changes += ["without 'module' and '_orig_mod' in their names"] if self.wrapping else []
        if self.ignored:
            more = f" and {len(self.ignored) - 1} more" if len(self.ignored) > 1 else ""
            changes.append(f"ignoring {short(self.ignored[0].removesuffix(ENCODED))}{more}")
        return [f"weights of {short(self.file)}: {', '.join(changes)}"] if changes else []


def digest(state: Mapping[str, Tensor]) -> str:
    """Compute a hash of a state dict that does not depend on the format of its file.

    Args:
        state: Tensors by name.

    Returns:
        Twelve hexadecimal digits.
    """
    sha256 = hashlib.sha256()
    for name in sorted(state):
        sha256.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}".encode())
        sha256.update(state[name].reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return sha256.hexdigest()[:12]
