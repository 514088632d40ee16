"""Design: a network with a canonical spec in each of its slots."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsx.conv import KEEP, ConvSpec, notation
from dsx.errors import SpecError, unknown
from dsx.plain import canonical_hash, plain_fields
from dsx.space.network.analysis import NetworkAnalysis


@dataclass(frozen=True, kw_only=True)
class Design:
    """One point of a search space.

    Args:
        model: As the space names it.
        model_args: The arguments that the network is built with.
        specs: Canonical spec of every slot, in the network's order; `keep` where nothing changes.
    """

    model: str
    model_args: Mapping[str, Any]
    specs: Mapping[str, ConvSpec]

    def __post_init__(self) -> None:
        plain_fields(self)

    @classmethod
    def of(
        cls,
        model: str,
        model_args: Mapping[str, Any],
        analysis: NetworkAnalysis,
        specs: Mapping[str, ConvSpec],
    ) -> "Design":
        """Bring specs into their canonical form.

        Args:
            model: As the space names it.
            model_args: The arguments that the network is built with.
            census: Of that network.
            specs: Spec by slot name; slots left out stay as they are.

        Returns:
            The design.

        Raises:
            SpecError: If there is no such slot, or a spec cannot be set there.
        """
        names = [slot.name for slot in analysis.slots]
        for name in specs:
            if name not in names:
                raise SpecError(unknown("slot", name, names))
        canonical = {}
        for slot in analysis.slots:
            try:
                canonical[slot.name] = slot.canonical(specs.get(slot.name, KEEP))
            except SpecError as error:
                raise SpecError(f"{slot.name}: {error}") from error
        return cls(model=model, model_args=model_args, specs=canonical)

    @property
    def changed(self) -> dict[str, ConvSpec]:
        """The slots that do not keep what stands there."""
        return {name: spec for name, spec in self.specs.items() if not spec.keeps}

    @property
    def learned(self) -> bool:
        """Whether some slot has learned shapes, so that its cost is known after training."""
        return any(spec.learned for spec in self.specs.values())

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that equal designs share, whatever the order of their keys."""
        return canonical_hash(
            {
                "model": self.model,
                "model_args": dict(self.model_args),
                "slots": {name: spec.to_json() for name, spec in self.changed.items()},
            }
        )

    def spec_json(self) -> dict[str, dict[str, Any]]:
        """Write the spec of every slot as plain JSON values, `keep` too."""
        return {name: spec.to_json() for name, spec in self.specs.items()}

    def description(self, analysis: NetworkAnalysis) -> str:
        """Describe the design by the notations of its slots, the most frequent first.

        Args:
            analysis: Analysis of the network.

        Returns:
            Each different notation with the number of its slots if it has several, such as
            "2x sep g8 r1 b32/2; cross; 4x keep".
        """
        counts = Counter(
            notation(self.specs[slot.name], slot.in_channels, slot.out_channels)
            for slot in analysis.slots
        )
        kept = counts.pop(notation(KEEP), 0)
        ordered = [*counts.most_common(), *[(notation(KEEP), kept)] * bool(kept)]
        return "; ".join(f"{count}x {code}" if count > 1 else code for code, count in ordered)
