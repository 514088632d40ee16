"""Count the networks of the DSXplore paper: baseline, and sliding channels with 1 to 8 groups.

    python docs/dsxplore.py

Reads the shipped spaces, `search_spaces/dsxplore-*.yaml`; nothing is trained and no data is needed.
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
"""By the published name of the network."""
GROUPS = (1, 2, 4, 8)


def costs(space: SearchSpace) -> Iterator[tuple[str, Cost]]:
    """Count the baseline, then each number of groups: no overlap changes what it costs."""
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
    """Print a line for each network and number of groups."""
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
    """Write a part in percent of the whole; nothing where it is the whole."""
    return "" if part == whole else f"{part / whole:.0%}"


if __name__ == "__main__":
    main()
