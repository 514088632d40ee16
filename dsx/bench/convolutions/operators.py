"""The convolutions that are compared: presets with their arguments, and sampled dials."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from torch import nn

from dsx.bench.convolutions.layers import Layer
from dsx.conv import ConvSpec, notation, preset
from dsx.errors import SpecError
from dsx.space import Value, load_space

GROUPS, OVERLAPS = (2, 4, 8), (0.33, 0.5)
DEPTHWISE_KERNEL = 3
"""Side of the depthwise kernel in the block of a 1 x 1 layer."""
SPACE = "digits"
SAMPLES = 12
"""Number of combinations of dials that are sampled from the options of the space."""


class Family(StrEnum):
    """Kinds of measurements that share a goal."""

    SLIDING = "sliding window"
    BLOCK = "separable block"
    SHAPE = "kernel shape"
    BINARY = "binary basis"
    OTHER = "other preset"
    DIALS = "sampled dials"
    NETWORK = "network"
    TRAINING = "training of a network"


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A setting of the dials that is compared with the convolution it replaces.

    Args:
        name: Short name.
        family: Kind of the measurement.
        spec: The dials.
        share: Number of outputs for each filter of a binary basis, which replaces the number of
            filters of the spec; 0 to use the spec as it is.
    """

    name: str
    family: Family
    spec: ConvSpec
    share: int = 0

    def layer(self, layer: Layer) -> Layer:
        """Return the layer to which the operator is applied.

        Args:
            layer: Layer of a network.

        Returns:
            Its pointwise stage for sliding windows, which follow a depthwise convolution in a
            network; for a block, the layer with the kernel of the depthwise convolution; otherwise
            the layer itself.
        """
        if self.family is Family.SLIDING:
            return layer.pointwise
        if self.family is Family.BLOCK:
            return dataclasses.replace(layer, kernel=max(layer.kernel, DEPTHWISE_KERNEL))
        return layer

    def canonical(self, slot: Layer | nn.Conv2d) -> ConvSpec | None:
        """Return the canonical spec for a convolution.

        Args:
            slot: Convolution to be replaced, or its shape.

        Returns:
            The spec; None if the dials do not apply.
        """
        spec = self.spec
        if self.share:
            spec = dataclasses.replace(spec, binary_basis=slot.out_channels // self.share)
        try:
            return spec.at(slot)
        except SpecError:
            return None


def _sliding(family: Family, prefix: str) -> list[Operator]:
    return [
        Operator(
            name=f"{prefix} g{groups} o{overlap:g}".replace("0.", "."),
            family=family,
            spec=preset("scc", groups=groups, overlap=overlap, separable=False),
        )
        for groups in GROUPS
        for overlap in OVERLAPS
    ]


def _operator(name: str, family: Family, preset_name: str) -> Operator:
    return Operator(name=name, family=family, spec=preset(preset_name))


def _binary(share: int, splits: int = 2) -> Operator:
    suffix = "" if splits == 2 else f" s{splits}"
    return Operator(
        name=f"slbf Cout/{share}{suffix}",
        family=Family.BINARY,
        spec=preset("slbf", splits=splits),
        share=share,
    )


CORNERS = Operator(
    name="ssc corners", family=Family.SHAPE, spec=preset("ssc", kernel_shape="corners")
)
LEARNED = _operator("lhc .25", Family.SHAPE, "lhc")
SCC = _operator("scc", Family.OTHER, "scc")
PRESETS: tuple[Operator, ...] = (
    *_sliding(Family.SLIDING, "scc"),
    *_sliding(Family.BLOCK, "block"),
    CORNERS,
    _operator("ssc cross", Family.SHAPE, "ssc"),
    _operator("hetconv p4", Family.SHAPE, "hetconv"),
    LEARNED,
    _binary(8),
    _binary(4),
    _operator("standard", Family.OTHER, "standard"),
    _operator("depthwise", Family.OTHER, "depthwise"),
    _operator("group g2", Family.OTHER, "group"),
    _operator("pointwise", Family.OTHER, "pointwise"),
    SCC,
)
"""The nine presets, some with several arguments. A block is a depthwise convolution, a BN, a ReLU,
the operator, a BN and a ReLU."""

FOUR_SPLITS = _binary(8, splits=4)
SPLITS: tuple[Operator, ...] = (_binary(8, 1), FOUR_SPLITS, _binary(4, 1), _binary(4, 4))
"""The binary bases with other numbers of channel splits than the two of the preset."""

NETWORK_OPERATORS = (SCC, CORNERS, LEARNED)
"""The presets with which whole networks are measured."""


@functools.cache
def sampled() -> tuple[Operator, ...]:
    """Sample combinations of dials from the options of the first slot of a space.

    Returns:
        An operator for each of the seeds 0 to 11 of `numpy.random.default_rng`.
    """
    options = load_space(SPACE).slot_options[0]
    slot = options.slots[0].name

    def sample(seed: int) -> ConvSpec:
        rng = np.random.default_rng(seed)

        def select(name: str, values: Sequence[Value]) -> Value:
            # `keep` is not a combination of dials.
            return "dials" if name.endswith("/redesign") else values[int(rng.integers(len(values)))]

        return options.sample(select)[slot]

    return tuple(
        Operator(name=notation(spec), family=Family.DIALS, spec=spec)
        for spec in map(sample, range(SAMPLES))
    )
