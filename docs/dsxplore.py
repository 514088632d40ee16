"""Count params and FLOPs of the networks of the DSXplore paper, with 1 to 8 groups.

    python docs/dsxplore.py

The bundled spaces `search_spaces/dsxplore-*.yaml` are read; no training and no data are required.
"""

from collections.abc import Iterator

from dsx.conv import Cost
from dsx.space import SearchSpace, load_space

SPACES = {
    "VGG11": "dsxplore-vgg11",
    "VGG16": "dsxplore-vgg16",
    "ResNet18": "dsxplore-resnet18",
    "ResNet50": "dsxplore-resnet50",
    "MobileNet": "dsxplore-mobilenet",
}
"""Space by the published name of the network."""
GROUPS = (1, 2, 4, 8)


def costs(space: SearchSpace) -> Iterator[tuple[str, Cost]]:
    """Yield the cost of the baseline and of each number of groups; overlaps have no effect on it.

    Args:
        space: Search space of a network.

    Yields:
        Number of groups ("none" for the baseline) and cost.
    """
    (choices,) = space.slot_options
    yield "none", space.cost(space.baseline)
    for groups in GROUPS:
        found = {
            space.cost(space.design({slot.name: spec for slot in choices.slots}))
            for spec in choices.presets.values()
            if spec.groups == groups
        }
        assert len(found) <= 1
        for cost in found:
            yield str(groups), cost


def main() -> None:
    """Print a row for each network and number of groups."""
    print("network    replaced  groups      params                flops")
    for network, name in SPACES.items():
        space = load_space(name)
        (choices,) = space.slot_options
        baseline = space.cost(space.baseline)
        title, replaced = network, f"{len(choices.slots)} of {len(space.analysis.slots)}"
        for groups, cost in costs(space):
            print(
                f"{title:9}  {replaced:>8}  {groups:>6}"
                f"  {cost.params:10,} {share(cost.params, baseline.params):>4}"
                f"  {cost.flops:13,} {share(cost.flops, baseline.flops):>4}"
            )
            title = replaced = ""


def share(part: int, whole: int) -> str:
    """Return a fraction in percent as text.

    Args:
        part: Numerator.
        whole: Denominator.

    Returns:
        The percentage; empty if it is 100 %.
    """
    return "" if part == whole else f"{part / whole:.0%}"


if __name__ == "__main__":
    main()
