"""The dials in the order in which they are asked for, and what makes each one matter."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsx.conv import ConvSpec

Value = str | int | float | bool
Options = Mapping[str, tuple[Value, ...]]
"""Options by dial; one that is left out stays as a ConvSpec has it."""

UNTURNED = ConvSpec()
"""Where every setting of the dials begins."""


@dataclass(frozen=True)
class Need:
    """What the dials before have to say for a dial to matter.

    Args:
        words: As a space file would say it.
        met: Whether the dials turned so far say so.
    """

    words: str
    met: Callable[[ConvSpec], bool]


NOTHING = Need("nothing", lambda so_far: True)
PLAIN = Need("separable: false", lambda so_far: not so_far.separable)
FIXED = Need("a kernel_shape other than learned", lambda so_far: not so_far.learned)
GROUPED = Need("groups above 1", lambda so_far: so_far.groups != 1)
BINARY = Need("a binary_basis above 0", lambda so_far: so_far.binary_basis > 0)
LEARNED = Need("kernel_shape: learned", lambda so_far: so_far.learned)


@dataclass(frozen=True)
class Dial:
    """A dial of a ConvSpec.

    Args:
        name: As in a ConvSpec.
        need: What makes it matter.
        harmless: To say what a refusal is about: of each dial that may have a part in it, a value
            that has none; this dial has a part in it unless it is named here too. None where no
            option is refused before the dials after it are turned.
    """

    name: str
    need: Need
    harmless: Mapping[str, Value] | None = None

    def offered(self, options: Options) -> tuple[Value, ...]:
        """Give its options; what a ConvSpec has where none are listed."""
        return options.get(self.name, (getattr(UNTURNED, self.name),))

    def matters(self, options: Options) -> bool:
        """Say whether any setting of the dials before leaves this one something to do."""
        before = DIALS[: DIALS.index(self)]
        return any(self.need.met(spec) for spec in _turned(before, options))


DIALS = (
    Dial("separable", NOTHING),
    Dial("kernel_shape", PLAIN, harmless={}),
    Dial("groups", FIXED),
    Dial("channel_stride", GROUPED, harmless={"groups": 1, "channel_stride": 1}),
    Dial("binary_basis", FIXED),
    Dial("splits", BINARY, harmless={"groups": 1, "binary_basis": 1}),
    Dial("scale", BINARY),
    Dial("density", LEARNED),
    Dial("rigid", LEARNED, harmless={}),
    Dial("block_in", LEARNED),
    Dial("block_out", LEARNED),
)


def turn(spec: ConvSpec, dial: str, option: Value) -> ConvSpec:
    """Set one dial of a spec.

    Args:
        spec: The spec.
        dial: Name of the dial.
        option: Its value.

    Returns:
        The new spec.
    """
    dials: dict[str, Any] = {dial: option}
    return dataclasses.replace(spec, **dials)


def _turned(dials: Sequence[Dial], options: Options) -> Iterator[ConvSpec]:
    """Go through every setting of the first dials."""
    if not dials:
        yield UNTURNED
        return
    *before, dial = dials
    for spec in _turned(before, options):
        if dial.need.met(spec):
            yield from (turn(spec, dial.name, option) for option in dial.offered(options))
        else:
            yield spec
