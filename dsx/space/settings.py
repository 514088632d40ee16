"""Designs specified on the command line, as PATTERN=SETTING for some of the slots."""

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
from dsx.space.options.rules import explain_no_match
from dsx.space.space import SearchSpace
from dsx.space.yaml.source import read_source

_KEEPS = "keep"
_DIALS = [dial.name for dial in DIALS]


def parse_settings(
    space: SearchSpace, settings: Iterable[str], base: Mapping[str, ConvSpec]
) -> Design:
    """Parse a design, which may be outside the search space.

    Args:
        space: Search space with the network to be redesigned.
        settings: Texts of the form PATTERN=SETTING. PATTERN is the name of a slot, a wildcard over
            slots, or a module that contains slots. SETTING is `keep`, or a comma-separated list of
            an optional preset and items dial:value; a preset can also be written as a call,
            `scc(groups=2)`. The last text that matches a slot replaces earlier ones.
        base: Spec by slot name for slots that no pattern matches.

    Returns:
        The design.

    Raises:
        SpecError: If a text cannot be parsed, matches no slot, or specifies a convolution that a
            slot does not support.
    """
    parsed: dict[str, tuple[str, ConvSpec]] = {}
    for text in settings:
        pattern, equals, setting = text.partition("=")
        if not equals:
            form = "PATTERN=SETTING, such as stages.0.conv1=scc,groups:2"
            raise SpecError(f"{quoted(text)} is not a setting of dials (write {form})")
        try:
            spec = parse_setting(setting)
            parsed |= dict.fromkeys(_matched(space, pattern), (text, spec))
        except DsxError as error:
            raise SpecError(f"{quoted(text)}: {error}") from error
    slots = {slot.name: slot for slot in space.analysis.slots}
    for name, (text, spec) in parsed.items():
        try:
            slots[name].canonical(spec)
        except SpecError as error:
            raise SpecError(f"{quoted(text)}: {name}: {error}") from error
    return space.design({**base, **{name: spec for name, (_, spec) in parsed.items()}})


def _matched(space: SearchSpace, pattern: str) -> list[str]:
    # A module selects all of its slots, since an asterisk must be quoted in some shells.
    found = [
        slot.name
        for slot in space.analysis.slots
        if fnmatch.fnmatchcase(slot.name, pattern) or slot.name.startswith(f"{pattern}.")
    ]
    if not found:
        raise SpecError(explain_no_match(pattern, space.analysis, modules=True))
    return found


def parse_setting(text: str) -> ConvSpec:
    """Parse the setting of one slot.

    Args:
        text: `keep`, `depthwise`, `scc,groups:2,overlap:0.5`, `scc(groups=2,overlap=0.5)` or
            `kernel_shape:cross,groups:4`.

    Returns:
        The spec.

    Raises:
        SpecError: If there is no such preset, dial or value; states what is allowed.
    """
    call = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", text)
    mark = "=" if call else ":"
    items = [call[1], *call[2].split(",")] if call else text.split(",")
    first, *rest = [item.strip() for item in items if item.strip()] or [""]
    if first == _KEEPS:
        if rest:
            raise SpecError(f"{_KEEPS} cannot be combined with other items")
        return KEEP
    if not call and mark in first:
        return ConvSpec(**_values(_DIALS, "dial", [first, *rest], mark))
    if first not in preset_names():
        raise SpecError(_no_preset(first))
    return preset(first, **_values(preset_arguments(first), f"argument of {first}", rest, mark))


def _no_preset(text: str) -> str:
    near = {name: name for name in (*preset_names(), _KEEPS)}
    near |= {dial: f"{dial}:VALUE" for dial in _DIALS}
    near |= {shape: f"kernel_shape:{shape}" for shape in shape_names()}
    matches = difflib.get_close_matches(text[:LONGEST_VALUE], list(near), n=1)
    return (
        f"{quoted(text)} is not a setting (allowed: {_KEEPS}, a preset "
        f"({', '.join(preset_names())}) or a dial with its value (kernel_shape:cross))."
        + (f" Did you mean '{near[matches[0]]}'?" if matches else "")
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
            raise SpecError(f"{name}: is given twice")
        values[name] = _value(name, value)
    return values


def _value(name: str, text: str) -> Any:
    """Parse a value as in a space file."""
    return read_source(name, text).content


def outside(space: SearchSpace, design: Design) -> list[str]:
    """List the slots of a design whose specs are not among the options of the search space.

    Args:
        space: Search space.
        design: Design of the network of the space.

    Returns:
        Names of slots. If a rule shares one setting and the slots of the design have none of its
        settings, all of its slots are listed.
    """
    found = []
    redesignable = {slot.name for options in space.slot_options for slot in options.slots}
    for options in space.slot_options:
        setting = {slot.name: design.specs[slot.name] for slot in options.slots}
        if setting not in options.settings():
            found += list(setting)
    return found + [name for name in design.changed if name not in redesignable]
