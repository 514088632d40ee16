"""Small candidates for the tests of dsx.measure."""

from dsx.conv import ConvSpec, preset
from dsx.measure import Candidate
from dsx.space import SearchSpace
from tests.space.space_files import replaced, space, with_rules

SMALL = replaced("width: 8", "width: 4")
SPECS = {
    "stages.0.conv1": ConvSpec(kernel_shape="corners"),
    "stages.1.conv1": preset("scc", groups=2, overlap=0.5),
    "stages.2.conv2": ConvSpec(kernel_shape="cross", groups=4),
}
EVERYTHING = with_rules(
    "{match: 'stem.0', kernel_shape: [full, cross, halves, het2], groups: [1, all]}",
    "{match: '*.conv1', preset: [depthwise, scc, {scc: {groups: 4, overlap: 0.75}}, "
    "{hetconv: {p: 2}}, ssc, {group: {groups: 4}}], separable: [false, true], "
    "kernel_shape: [row, column, diagonal, antidiagonal, saltire], groups: [1, 2, all], "
    "channel_stride: [block, 1/3, 0.5, 1]}",
    "{match: '*', separable: [false, true], "
    "kernel_shape: [full, point, cross, lines, corners, halves, checker, het3, het4], "
    "groups: [1, 2, 4, 8, all], channel_stride: [block, 0.1, 0.5, 0.9, 1]}",
)
"""A space with every fixed kernel shape, presets, sliding windows and separable slots."""


def candidate(text: str = SMALL, specs: dict[str, ConvSpec] | None = None) -> Candidate:
    """Build a candidate of a space; by default its baseline."""
    loaded: SearchSpace = space(text)
    return Candidate(loaded, loaded.design(specs or {}))
