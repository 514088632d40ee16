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
        model: Name of the model in the search space.
        model_args: Arguments with which the network is built.
        specs: Canonical spec of every slot, in the order of the network; `keep` if unchanged.
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
        """Build a design from specs, which are brought into canonical form.

        Args:
            model: Name of the model in the search space.
            model_args: Arguments with which the network is built.
            analysis: Network analysis of that network.
            specs: Spec by slot name; other slots are unchanged.

        Returns:
            The design.

        Raises:
            SpecError: If there is no such slot, or a spec cannot be applied to its slot.
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
        """The canonical specs of the slots that are not unchanged, by slot name."""
        return {name: spec for name, spec in self.specs.items() if not spec.keeps}

    @property
    def learned(self) -> bool:
        """Whether any slot has learned shapes, so that its cost is known only after training."""
        return any(spec.learned for spec in self.specs.values())

    @property
    def id(self) -> str:
        """The design id: twelve hexadecimal digits that do not depend on the order of keys."""
        return canonical_hash(
            {
                "model": self.model,
                "model_args": dict(self.model_args),
                "slots": {name: spec.to_json() for name, spec in self.changed.items()},
            }
        )

    def spec_json(self) -> dict[str, dict[str, Any]]:
        """Return the spec of every slot, including unchanged ones, as plain JSON values.

        Returns:
            Dials and their values by slot name.
        """
        return {name: spec.to_json() for name, spec in self.specs.items()}

    def description(self, analysis: NetworkAnalysis) -> str:
        """Return the description of the design: the notations of its slots by frequency.

        Args:
            analysis: Network analysis of the network.

        Returns:
            Each distinct notation with its number of slots if there are several, such as
            "2x sep g8 r1 b32/2; cross; 4x keep".
        """
        counts = Counter(
            notation(self.specs[slot.name], slot.in_channels, slot.out_channels)
            for slot in analysis.slots
        )
        kept = counts.pop(notation(KEEP), 0)
        ordered = [*counts.most_common(), *[(notation(KEEP), kept)] * bool(kept)]
        return "; ".join(f"{count}x {code}" if count > 1 else code for code, count in ordered)
