"""State dicts in the checkpoints of training scripts, and the names of their weights."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dsx.errors import DsxError, did_you_mean, printable, unknown
from dsx.space.weights.state import ENCODED, encode

MAX_DEPTH = 4
"""Largest depth of nested keys at which a state dict is searched."""
SHOWN = 8
_AVERAGED = re.compile(r"(^|[._])ema|averag|shadow|(^|[._])swa([._]|$)")
_BOOKKEEPING = re.compile(
    r"(optim|lr_|sched|scaler|amp$|rng|random|loss|criterion|metric|args$|hyper|callbacks|loops)"
)
"""Prefixes of keys under which training scripts store tensors other than weights."""
_COUNTERS = ("n_averaged", "steps", "num_updates", "decay")
"""Counters that are stored in addition to averaged weights (EMA, SWA)."""
_WRAPPING = frozenset({"module", "_orig_mod"})
"""Parts of names that wrappers of torch for distribution and compilation insert."""


Tensors = dict[str, Tensor]


class StateDict(Tensors):
    """Tensors by name, with the key of the entry in which they were found.

    Attributes:
        key: Key of the entry of the file; empty if the file itself is the state dict.
    """

    key = ""


def state_dict_in(content: object, key: str | None) -> StateDict:
    """Find the state dict in a checkpoint.

    Args:
        content: Content of the file.
        key: Entry that holds the state dict, such as `state_dict_ema`; nested keys are joined by
            dots. None for the only state dict in the file.

    Returns:
        The state dict.

    Raises:
        DsxError: If there is none, or there are several and no key selects one.
    """
    if not isinstance(content, Mapping):
        raise DsxError(f"contains no state dict, {_contents(content)}")
    found = dict(_state_dicts(content, ""))
    if key is not None:
        return _with_key(_select(content, found, key), key)
    if "" in found:
        return _with_key(found[""], "")
    likely = {name: state for name, state in found.items() if not _is_bookkeeping(name)}
    if len(likely) == 1:
        ((only, state),) = likely.items()
        return _with_key(state, only)
    if not found:
        problem = "contains no state dict (a dict of plain tensors by name)"
        raise DsxError(f"{problem}, {_contents(content)}")
    likely = likely or found
    listed = ", ".join(f"{name} ({_count(state)})" for name, state in _first(likely))
    raise DsxError(
        f"contains {len(likely)} state dicts: {listed}: specify which (weights: {{file: ..., key: "
        f"{next(iter(likely))}}})"
    )


def _with_key(state: Tensors, key: str) -> StateDict:
    found = StateDict(state)
    found.key = key
    return found


def _select(content: Mapping[object, object], found: Mapping[str, Tensors], key: str) -> Tensors:
    if key in found and key:
        return found[key]
    if list(found) == [""]:
        raise DsxError("the file itself is a state dict; leave out weights.key")
    entry: object = content
    for part in key.split("."):
        entry = entry.get(part) if isinstance(entry, Mapping) else None
    if entry is not None:
        raise DsxError(f"key: {printable(key)} contains no state dict, {_contents(entry)}")
    raise DsxError(f"key: {unknown('state dict', key, filter(None, found))}")


def _state_dicts(content: Mapping[object, object], path: str) -> Iterator[tuple[str, Tensors]]:
    if content and all(_is_entry(name, value) for name, value in content.items()):
        yield path, encode({str(name): value for name, value in content.items()})
        return
    for name, value in content.items():
        if isinstance(name, str) and isinstance(value, Mapping) and path.count(".") < MAX_DEPTH:
            yield from _state_dicts(value, f"{path}.{name}" if path else name)


def _is_entry(name: object, value: object) -> bool:
    """Check whether a state dict may have an entry: a plain tensor, or a value that modules add."""
    if not isinstance(name, str):
        return False
    if not isinstance(value, Tensor):
        return name.rpartition(".")[2] == "_extra_state" or name in _COUNTERS
    plain = value.layout == torch.strided and not (value.is_quantized or value.is_meta)
    return plain and not value.is_complex()


def _is_bookkeeping(path: str) -> bool:
    # Lightning stores averaged weights among its callbacks.
    if _AVERAGED.search(path.lower()):
        return False
    return any(_BOOKKEEPING.match(part.lower()) for part in path.split("."))


def _contents(content: object) -> str:
    """Describe a content that is not a state dict."""
    if not isinstance(content, Mapping):
        return f"but a value of type {type(content).__name__}"
    others = {name: value for name, value in content.items() if not _is_entry(name, value)}
    if not others:
        return "since it is empty"

    listed = ", ".join(
        f"{printable(str(name))} ({_kind(value)})" for name, value in list(others.items())[:SHOWN]
    )
    return f"but the entries {listed}{' and more' if len(others) > SHOWN else ''}"


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.layout).removeprefix('torch.')} {value.dtype}"
    return type(value).__name__


def _first(found: Mapping[str, Tensors]) -> list[tuple[str, Tensors]]:
    return [(printable(name), state) for name, state in list(found.items())[:SHOWN]]


def _count(state: Tensors) -> str:
    return f"{len(state)} tensor{'s' if len(state) > 1 else ''}"


@dataclass(frozen=True, kw_only=True)
class RenamedState:
    """State dict with the names of a network.

    Args:
        state: Tensors by name.
        prefix: Prefix that was removed from all names; may be empty.
        ignored: Names that were ignored.
        wrapping: Whether names of wrappers of torch were removed from the middle of names.
    """

    state: Tensors
    prefix: str = ""
    ignored: tuple[str, ...] = ()
    wrapping: bool = False


def match_names(
    own: Iterable[str], state: Mapping[str, Tensor], prefix: str | None
) -> RenamedState:
    """Remove a prefix from all names, so that they match those of a network.

    Args:
        own: Names in the network.
        state: Tensors by name.
        prefix: Prefix of the names to be used, with or without a trailing dot; all others are
            ignored. None for the common prefix of all names, if names without it match better.

    Returns:
        The renamed state dict.

    Raises:
        DsxError: If no name has the prefix.
    """
    expected = set(own)
    if prefix is not None:
        start = f"{prefix.rstrip('.')}."
        found = {name.removeprefix(start): t for name, t in state.items() if name.startswith(start)}
        if not found:
            raise DsxError(_no_such_prefix(prefix, state))
        ignored = tuple(name for name in state if not name.startswith(start))
        return RenamedState(state=found, prefix=start, ignored=ignored)
    counters = {
        name for name in state if name not in expected and name.removesuffix(ENCODED) in _COUNTERS
    }
    weights = {name: tensor for name, tensor in state.items() if name not in counters}
    start = _best_prefix(weights, expected)
    found = {name.removeprefix(start): tensor for name, tensor in weights.items()}
    ignored = tuple(sorted(counters))
    plain = {_without_wrapping(name): tensor for name, tensor in weights.items()}
    inner = _best_prefix(plain, expected)
    bare = {name.removeprefix(inner): tensor for name, tensor in plain.items()}
    if len(bare) == len(found) and len(expected & bare.keys()) > len(expected & found.keys()):
        return RenamedState(state=bare, prefix=inner, ignored=ignored, wrapping=True)
    return RenamedState(state=found, prefix=start, ignored=ignored)


def _best_prefix(state: Mapping[str, Tensor], expected: set[str]) -> str:
    """Return the shortest common prefix without which the most names match."""
    if not state:
        return ""
    parts = [name.split(".")[:-1] for name in state]
    common: list[str] = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        common.append(column[0])
    prefixes = [
        "".join(f"{part}." for part in common[:number]) for number in range(len(common) + 1)
    ]
    return max(prefixes, key=lambda p: sum(name.removeprefix(p) in expected for name in state))


def _without_wrapping(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPING)


def find_prefixes(own: Iterable[str], state: Mapping[str, Tensor]) -> list[str]:
    """List the prefixes under which a state dict contains all weights of a network.

    Args:
        own: Names in the network.
        state: Tensors by name.

    Returns:
        The prefixes, each with a trailing dot.
    """
    names = [name for name in own if not name.endswith("num_batches_tracked")]
    if not names:
        return []
    first = names[0]
    starts = [name.removesuffix(first) for name in state if name.endswith(f".{first}")]
    return [start for start in starts if all(f"{start}{name}" in state for name in names)]


def _no_such_prefix(prefix: str, state: Mapping[str, Tensor]) -> str:
    starts: dict[str, None] = {}
    for name in state:
        parts = name.split(".")[:-1]
        starts |= dict.fromkeys(".".join(parts[: number + 1]) for number in range(len(parts)))
    tops = dict.fromkeys(start.split(".")[0] for start in starts)
    listed = ", ".join(printable(top) for top in list(tops)[:SHOWN]) or "none"
    near = did_you_mean(prefix.rstrip("."), starts)
    return f"prefix: no weight has the prefix {printable(prefix)} (allowed: {listed}).{near}"
