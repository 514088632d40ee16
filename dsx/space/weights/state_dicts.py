"""State dicts in what a training script has saved, and the names of their weights."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dsx.errors import DsxError, did_you_mean, printable, unknown
from dsx.space.weights.state import ENCODED, encoded

DEEPEST = 4
"""Levels of keys below which no state dict is looked for."""
SHOWN = 8
_AVERAGED = re.compile(r"(^|[._])ema|averag|shadow|(^|[._])swa([._]|$)")
_BOOKKEEPING = re.compile(
    r"(optim|lr_|sched|scaler|amp$|rng|random|loss|criterion|metric|args$|hyper|callbacks|loops)"
)
"""Beginnings of keys under which trainings keep tensors that are not a network's."""
_COUNTERS = ("n_averaged", "steps", "num_updates", "decay")
"""Counters that averages of weights (EMA, SWA) store alongside the weights."""
_WRAPPING = frozenset({"module", "_orig_mod"})
"""Parts of names that torch's wrappers for several devices and compiled networks add."""


Tensors = dict[str, Tensor]


class StateDict(Tensors):
    """Tensors by name, with the key of the entry that they were in.

    Attributes:
        key: Key of the entry of the file; empty if the file itself is the state dict.
    """

    key = ""


def state_dict_in(content: object, key: str | None) -> StateDict:
    """Find the state dict in what a training script has saved.

    Args:
        content: Content of the file.
        key: The entry that holds the state dict, such as `state_dict_ema`; keys inside others are
            joined by dots. None for the only one there is.

    Returns:
        The state dict.

    Raises:
        DsxError: If there is none, or there are several and no key selects one.
    """
    if not isinstance(content, Mapping):
        raise DsxError(f"holds no state dict, {_kinds(content)}")
    found = dict(_state_dicts(content, ""))
    if key is not None:
        return _with_key(_chosen(content, found, key), key)
    if "" in found:
        return _with_key(found[""], "")
    likely = {name: state for name, state in found.items() if not _is_bookkeeping(name)}
    if len(likely) == 1:
        ((only, state),) = likely.items()
        return _with_key(state, only)
    if not found:
        raise DsxError(f"holds no state dict (a dict of plain tensors by name), {_kinds(content)}")
    likely = likely or found
    listed = ", ".join(f"{name} ({_number(state)})" for name, state in _first(likely))
    raise DsxError(
        f"holds {len(likely)} state dicts: {listed}: specify which (weights: {{file: ..., key: "
        f"{next(iter(likely))}}})"
    )


def _with_key(state: Tensors, key: str) -> StateDict:
    found = StateDict(state)
    found.key = key
    return found


def _chosen(content: Mapping[object, object], found: Mapping[str, Tensors], key: str) -> Tensors:
    if key in found and key:
        return found[key]
    if list(found) == [""]:
        raise DsxError("the file is a state dict itself; leave out weights.key")
    there: object = content
    for part in key.split("."):
        there = there.get(part) if isinstance(there, Mapping) else None
    if there is not None:
        raise DsxError(f"key: {printable(key)} holds no state dict, {_kinds(there)}")
    raise DsxError(f"key: {unknown('state dict', key, filter(None, found))}")


def _state_dicts(content: Mapping[object, object], path: str) -> Iterator[tuple[str, Tensors]]:
    if content and all(_is_entry(name, value) for name, value in content.items()):
        yield path, encoded({str(name): value for name, value in content.items()})
        return
    for name, value in content.items():
        if isinstance(name, str) and isinstance(value, Mapping) and path.count(".") < DEEPEST:
            yield from _state_dicts(value, f"{path}.{name}" if path else name)


def _is_entry(name: object, value: object) -> bool:
    """Check whether an entry is one of a state dict: a plain tensor, or what modules add to it."""
    if not isinstance(name, str):
        return False
    if not isinstance(value, Tensor):
        return name.rpartition(".")[2] == "_extra_state" or name in _COUNTERS
    plain = value.layout == torch.strided and not (value.is_quantized or value.is_meta)
    return plain and not value.is_complex()


def _is_bookkeeping(path: str) -> bool:
    # Lightning keeps averages of weights among its callbacks.
    if _AVERAGED.search(path.lower()):
        return False
    return any(_BOOKKEEPING.match(part.lower()) for part in path.split("."))


def _kinds(content: object) -> str:
    """State what there is in place of a state dict."""
    if not isinstance(content, Mapping):
        return f"but a value of type {type(content).__name__}"
    others = {name: value for name, value in content.items() if not _is_entry(name, value)}
    if not others:
        return "but nothing"
    named = ", ".join(
        f"{printable(str(name))} ({_kind(value)})" for name, value in list(others.items())[:SHOWN]
    )
    return f"but the entries {named}{' and more' if len(others) > SHOWN else ''}"


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.layout).removeprefix('torch.')} {value.dtype}"
    return type(value).__name__


def _first(found: Mapping[str, Tensors]) -> list[tuple[str, Tensors]]:
    return [(printable(name), state) for name, state in list(found.items())[:SHOWN]]


def _number(state: Tensors) -> str:
    return f"{len(state)} tensor{'s' if len(state) > 1 else ''}"


@dataclass(frozen=True, kw_only=True)
class Named:
    """A state dict whose names are those of a network.

    Args:
        state: Tensors by name.
        prefix: Prefix that was removed from all names; may be empty.
        ignored: Names that were left out.
        wrapping: Whether names of torch's wrappers were taken out of the middle of names.
    """

    state: Tensors
    prefix: str = ""
    ignored: tuple[str, ...] = ()
    wrapping: bool = False


def named_for(own: Iterable[str], state: Mapping[str, Tensor], prefix: str | None) -> Named:
    """Remove a prefix from all names, so that they are those of a network.

    Args:
        own: Names in the network.
        state: Tensors by name.
        prefix: Prefix of the names to be used, with or without a dot at its end; all
            others are left out. None for what all names have in common, as far as it helps.

    Returns:
        The state dict.

    Raises:
        DsxError: If no name has the prefix.
    """
    wanted = set(own)
    if prefix is not None:
        start = f"{prefix.rstrip('.')}."
        found = {name.removeprefix(start): t for name, t in state.items() if name.startswith(start)}
        if not found:
            raise DsxError(_no_such_prefix(prefix, state))
        ignored = tuple(name for name in state if not name.startswith(start))
        return Named(state=found, prefix=start, ignored=ignored)
    counters = {
        name for name in state if name not in wanted and name.removesuffix(ENCODED) in _COUNTERS
    }
    weights = {name: tensor for name, tensor in state.items() if name not in counters}
    start = _best_prefix(weights, wanted)
    found = {name.removeprefix(start): tensor for name, tensor in weights.items()}
    ignored = tuple(sorted(counters))
    plain = {_without_wrapping(name): tensor for name, tensor in weights.items()}
    inner = _best_prefix(plain, wanted)
    bare = {name.removeprefix(inner): tensor for name, tensor in plain.items()}
    if len(bare) == len(found) and len(wanted & bare.keys()) > len(wanted & found.keys()):
        return Named(state=bare, prefix=inner, ignored=ignored, wrapping=True)
    return Named(state=found, prefix=start, ignored=ignored)


def _best_prefix(state: Mapping[str, Tensor], wanted: set[str]) -> str:
    """Find the common prefix without which most names fit; the shortest of equals."""
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
    return max(prefixes, key=lambda p: sum(name.removeprefix(p) in wanted for name in state))


def _without_wrapping(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPING)


def fitting_prefixes(own: Iterable[str], state: Mapping[str, Tensor]) -> list[str]:
    """List the prefixes under which a state dict has all weights of a network.

    Args:
        own: Names in the network.
        state: Tensors by name.

    Returns:
        The prefixes, each with a dot at its end.
    """
    wanted = [name for name in own if not name.endswith("num_batches_tracked")]
    if not wanted:
        return []
    first = wanted[0]
    starts = [name.removesuffix(first) for name in state if name.endswith(f".{first}")]
    return [start for start in starts if all(f"{start}{name}" in state for name in wanted)]


def _no_such_prefix(prefix: str, state: Mapping[str, Tensor]) -> str:
    starts: dict[str, None] = {}
    for name in state:
        parts = name.split(".")[:-1]
        starts |= dict.fromkeys(".".join(parts[: number + 1]) for number in range(len(parts)))
    tops = dict.fromkeys(start.split(".")[0] for start in starts)
    listed = ", ".join(printable(top) for top in list(tops)[:SHOWN]) or "none"
    near = did_you_mean(prefix.rstrip("."), starts)
    return f"prefix: no weight has a name under {printable(prefix)} (allowed: {listed}).{near}"
