"""The dials in sampling order, and the conditions under which each of them has an effect."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsx.conv import ConvSpec

Value = str | int | float | bool
DialOptions = Mapping[str, tuple[Value, ...]]
"""Options by dial; a dial without an entry has the default value of `ConvSpec`."""

DEFAULTS = ConvSpec()
"""Spec in which every dial has its default value."""


@dataclass(frozen=True)
class Requirement:
    """Condition on the preceding dials under which a dial has an effect.

    Args:
        description: Condition in the syntax of a space file.
        is_met: Function that checks the condition on a spec with the preceding dials set.
    """

    description: str
    is_met: Callable[[ConvSpec], bool]


ALWAYS = Requirement("nothing", lambda spec: True)
NOT_SEPARABLE = Requirement("separable: false", lambda spec: not spec.separable)
FIXED_SHAPE = Requirement("a kernel_shape other than learned", lambda spec: not spec.learned)
GROUPED = Requirement("groups above 1", lambda spec: spec.groups != 1)
BINARY = Requirement("a binary_basis above 0", lambda spec: spec.binary_basis > 0)
LEARNED = Requirement("kernel_shape: learned", lambda spec: spec.learned)


@dataclass(frozen=True)
class Dial:
    """One of the dials of a `ConvSpec`.

    Args:
        name: Name of the dial, which is the name of a field of `ConvSpec`.
        requirement: Condition under which the dial has an effect.
        neutral: Neutral values by dial, used to find which dials make a spec unsupported: a dial is
            responsible if setting it to its neutral value removes the reason. This dial is always
            responsible unless it has an entry too. None if an option of this dial is checked only
            after the following dials are set.
    """

    name: str
    requirement: Requirement
    neutral: Mapping[str, Value] | None = None

    def values(self, options: DialOptions) -> tuple[Value, ...]:
        """Return the options of the dial, or its default value if none are listed.

        Args:
            options: Options of the dials.

        Returns:
            At least one value.
        """
        return options.get(self.name, (getattr(DEFAULTS, self.name),))

    def has_effect(self, options: DialOptions) -> bool:
        """Check whether the dial has an effect for some setting of the preceding dials.

        Args:
            options: Options of the dials.

        Returns:
            Whether its requirement can be met.
        """
        preceding = DIALS[: DIALS.index(self)]
        return any(self.requirement.is_met(spec) for spec in _combinations(preceding, options))


DIALS = (
    Dial("separable", ALWAYS),
    Dial("kernel_shape", NOT_SEPARABLE, neutral={}),
    Dial("groups", FIXED_SHAPE),
    Dial("channel_stride", GROUPED, neutral={"groups": 1, "channel_stride": 1}),
    Dial("binary_basis", FIXED_SHAPE),
    Dial("splits", BINARY, neutral={"groups": 1, "binary_basis": 1}),
    Dial("scale", BINARY),
    Dial("density", LEARNED),
    Dial("rigid", LEARNED, neutral={}),
    Dial("block_in", LEARNED),
    Dial("block_out", LEARNED),
)


def set_dial(spec: ConvSpec, dial: str, option: Value) -> ConvSpec:
    """Return a copy of a spec with one dial set to a new value.

    Args:
        spec: Spec to be copied.
        dial: Name of the dial.
        option: New value of the dial.

    Returns:
        The new spec.
    """
    dials: dict[str, Any] = {dial: option}
    return dataclasses.replace(spec, **dials)


def _combinations(dials: Sequence[Dial], options: DialOptions) -> Iterator[ConvSpec]:
    """Iterate over every combination of options of the first dials."""
    if not dials:
        yield DEFAULTS
        return
    *preceding, dial = dials
    for spec in _combinations(preceding, options):
        if dial.requirement.is_met(spec):
            yield from (set_dial(spec, dial.name, option) for option in dial.values(options))
        else:
            yield spec
