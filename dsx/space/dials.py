"""The dials in the order in which they are asked for, and what makes each one matter."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsx.conv import ConvSpec

Value = str | int | float | bool
Options = Mapping[str, tuple[Value, ...]]
"""Options by dial; one that is left out stays as a ConvSpec has it."""


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
LEARNED = Need("kernel_shape: learned", lambda so_far: so_far.learned)
FIXED = Need("a kernel_shape other than learned", lambda so_far: not so_far.learned)
GROUPED = Need("groups above 1", lambda so_far: so_far.groups != 1)
BINARY = Need("a binary_basis above 0", lambda so_far: so_far.binary_basis > 0)


@dataclass(frozen=True)
class Dial:
    """A dial of a ConvSpec.

    Args:
        name: As in a ConvSpec.
        need: What makes it matter.
        beside: Dials that may be to blame, beside this one, where an option cannot apply, each
            with a value that is never to blame; None where no option is refused before the dials
            after it are turned too.
    """

    name: str
    need: Need
    beside: Mapping[str, Value] | None = None

    def offered(self, options: Options) -> tuple[Value, ...]:
        """Give its options; what a ConvSpec has where none are listed."""
        return options.get(self.name, (getattr(ConvSpec(), self.name),))

    def turn(self, spec: ConvSpec, option: Value) -> ConvSpec:
        """Set this dial of a spec."""
        return turn(spec, self.name, option)

    def matters(self, options: Options) -> bool:
        """Say whether any setting of the dials before leaves this one something to do."""
        before = DIALS[: DIALS.index(self)]
        return any(self.need.met(spec) for spec in _turned(before, options))


DIALS = (
    Dial("separable", NOTHING),
    Dial("kernel_shape", PLAIN, beside={}),
    Dial("density", LEARNED),
    Dial("rigid", LEARNED, beside={}),
    Dial("block_in", LEARNED),
    Dial("block_out", LEARNED),
    Dial("groups", FIXED),
    Dial("channel_stride", GROUPED, beside={"groups": 1}),
    Dial("binary_basis", FIXED),
    Dial("splits", BINARY, beside={"groups": 1, "binary_basis": 1}),
    Dial("scale", BINARY),
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
        yield ConvSpec()
        return
    *before, dial = dials
    for spec in _turned(before, options):
        if dial.need.met(spec):
            yield from (dial.turn(spec, option) for option in dial.offered(options))
        else:
            yield spec
