"""Settings: a design as a command line gives it, PATTERN=SETTING for some of the slots."""

import difflib
import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dsx.conv import KEEP, ConvSpec, preset
from dsx.conv.sparsity.shapes import shape_names
from dsx.conv.spec import preset_arguments, preset_names
from dsx.errors import LONGEST_VALUE, DsxError, SpecError, quoted, unknown
from dsx.space.design import Design
from dsx.space.dials import DIALS, Value
from dsx.space.options.rules import no_match
from dsx.space.space import SearchSpace
from dsx.space.yaml.source import read_source

_KEEPS = "keep"
_DIALS = [dial.name for dial in DIALS]


def read_settings(space: SearchSpace, words: Iterable[str], base: Mapping[str, ConvSpec]) -> Design:
    """Read a design, which need not be one that the space offers.

    Args:
        space: Whose network is redesigned.
        words: PATTERN=SETTING each. PATTERN is a slot, a wildcard over slots, or a module that
            holds slots. SETTING is `keep`, or items between commas: a preset first, or none, then
            dial:value; also the preset as a call, `scc(groups=2)`. The last one that has a slot
            says all about it.
        base: Spec by slot name, where no word has the slot.

    Returns:
        The design.

    Raises:
        SpecError: If a word cannot be read, matches no slot, or asks of a slot what it cannot be.
    """
    asked: dict[str, tuple[str, ConvSpec]] = {}
    for word in words:
        pattern, equals, setting = word.partition("=")
        if not equals:
            form = "PATTERN=SETTING, such as stages.0.conv1=scc,groups:2"
            raise SpecError(f"{quoted(word)} is no setting of dials (write {form})")
        try:
            spec = read_setting(setting)
            asked |= dict.fromkeys(_matched(space, pattern), (word, spec))
        except DsxError as error:
            raise SpecError(f"{quoted(word)}: {error}") from error
    slots = {slot.name: slot for slot in space.analysis.slots}
    for name, (word, spec) in asked.items():
        try:
            slots[name].canonical(spec)
        except SpecError as error:
            raise SpecError(f"{quoted(word)}: {name}: {error}") from error
    return space.design({**base, **{name: spec for name, (_, spec) in asked.items()}})


def _matched(space: SearchSpace, pattern: str) -> list[str]:
    # A module stands for its slots: a star needs quotes in some shells.
    found = [
        slot.name
        for slot in space.analysis.slots
        if fnmatch.fnmatchcase(slot.name, pattern) or slot.name.startswith(f"{pattern}.")
    ]
    if not found:
        raise SpecError(no_match(pattern, space.analysis, modules=True))
    return found


def read_setting(text: str) -> ConvSpec:
    """Read what a slot shall become.

    Args:
        text: `keep`, `depthwise`, `scc,groups:2,overlap:0.5`, `scc(groups=2,overlap=0.5)` or
            `kernel_shape:cross,groups:4`.

    Returns:
        The spec.

    Raises:
        SpecError: If there is no such preset, dial or value; says what is allowed.
    """
    call = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", text)
    mark = "=" if call else ":"
    items = [call[1], *call[2].split(",")] if call else text.split(",")
    first, *rest = [item.strip() for item in items if item.strip()] or [""]
    if first == _KEEPS:
        if rest:
            raise SpecError(f"{_KEEPS} leaves a convolution as it is; nothing goes with it")
        return KEEP
    if not call and mark in first:
        return ConvSpec(**_values(_DIALS, "dial", [first, *rest], mark))
    if first not in preset_names():
        raise SpecError(_no_preset(first))
    return preset(first, **_values(preset_arguments(first), f"argument of {first}", rest, mark))


def _no_preset(word: str) -> str:
    near = {name: name for name in (*preset_names(), _KEEPS)}
    near |= {dial: f"{dial}:VALUE" for dial in _DIALS}
    near |= {shape: f"kernel_shape:{shape}" for shape in shape_names()}
    meant = difflib.get_close_matches(word[:LONGEST_VALUE], list(near), n=1)
    return (
        f"{quoted(word)} is neither {_KEEPS}, a preset ({', '.join(preset_names())}) nor a dial "
        "with its value (kernel_shape:cross)."
        + (f" Did you mean '{near[meant[0]]}'?" if meant else "")
    )


def _values(allowed: list[str], what: str, items: Iterable[str], mark: str) -> dict[str, Any]:
    values: dict[str, Value] = {}
    for item in items:
        name, given, value = item.partition(mark)
        name = name.strip()
        if name not in allowed:
            raise SpecError(unknown(what, name, allowed))
        if not given or not value.strip():
            raise SpecError(f"{name}: has no value (write {name}{mark}VALUE)")
        if name in values:
            raise SpecError(f"{name}: stands twice")
        values[name] = _value(name, value)
    return values


def _value(name: str, text: str) -> Any:
    """Read a value as a space file would."""
    return read_source(name, text).content


def outside(space: SearchSpace, design: Design) -> list[str]:
    """List the slots of a design that have what the space does not offer them.

    Args:
        space: The space.
        design: Of its network.

    Returns:
        Names of slots; all slots of a rule where these would have to share a setting.
    """
    found = []
    offered = {slot.name for choices in space.choices for slot in choices.slots}
    for choices in space.choices:
        setting = {slot.name: design.specs[slot.name] for slot in choices.slots}
        if setting not in choices.settings():
            found += list(setting)
    return found + [name for name in design.changed if name not in offered]
