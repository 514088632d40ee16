"""Measure the tables of training.md: accuracy of each preset, and the value of pretrained weights.

    python docs/training.py            # both tables: about eight minutes on one core
    python docs/training.py accuracy   # from scratch, at the default budget
    python docs/training.py kept       # one epoch from projected weights, and one from scratch

Every 3 x 3 convolution except the first in the network of the space `digits` is redesigned. A seed
determines the initial weights, the order of the images and all other random choices; the baseline
and all redesigns are trained with the same seeds.
"""

import statistics
import sys
from collections.abc import Callable

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from dsx.conv import ConvSpec, preset
from dsx.conv.modules.learned import LearnedConv2d
from dsx.data import Split, Splits
from dsx.nets import network_builder
from dsx.space import SearchSpace, Slot, load_space, redesign
from dsx.space.yaml.schema import Train
from dsx.train import predict, train

SEEDS = range(5)
DENSITY = 0.25
BATCH = 64
KEPT_RATE = 0.25
"""Fraction of the learning rate for the training from projected weights."""
PRESETS: dict[str, Callable[[Slot], ConvSpec]] = {
    "baseline": lambda slot: ConvSpec(),
    "scc (separable, 2 groups, overlap .5)": lambda slot: preset("scc", groups=2, overlap=0.5),
    "ssc (corners)": lambda slot: preset("ssc", kernel_shape="corners"),
    "ssc (cross, 2 groups)": lambda slot: preset("ssc", kernel_shape="cross", groups=2),
    "hetconv (P = 4)": lambda slot: preset("hetconv", p=4),
    "lhc (free, density .25)": lambda slot: preset("lhc", density=DENSITY),
    "lhc (rigid, density .25)": lambda slot: preset("lhc", density=DENSITY, rigid=True),
    "slbf (k = Cout/2, splits 2, scale)": lambda slot: preset(
        "slbf", k=slot.out_channels // 2, splits=2, scale=True
    ),
    "depthwise (separable)": lambda slot: preset("depthwise", separable=True),
    "pointwise (separable)": lambda slot: preset("pointwise", separable=True),
    "group (2 groups)": lambda slot: preset("group", groups=2),
}


def network(space: SearchSpace, seed: int) -> nn.Module:
    """Build the network with random weights.

    Args:
        space: Search space.
        seed: Random seed of the weights.

    Returns:
        The network.
    """
    torch.manual_seed(seed)
    net = network_builder(space.file.model)(**space.file.model_args)
    assert isinstance(net, nn.Module)
    return net


def redesigned(space: SearchSpace, name: str, base: nn.Module, keep: bool) -> nn.Module:
    """Redesign all slots except the first.

    Args:
        space: Search space.
        name: Name of the preset.
        base: Network to redesign.
        keep: Whether to project the weights of `base`.

    Returns:
        The redesigned network.
    """
    specs = {slot.name: PRESETS[name](slot) for slot in space.analysis.slots[1:]}
    return redesign(base, specs, keep_weights=keep)


def trained(net: nn.Module, data: Splits, settings: Train, seed: int) -> nn.Module:
    """Train a network in place and return it.

    Args:
        net: Network.
        data: Data set.
        settings: Training settings of the space.
        seed: Random seed, in place of that of the settings.

    Returns:
        The same network.
    """
    train(net, data.train, settings.model_copy(update={"seed": seed}))
    return net


def accuracy(net: nn.Module, split: Split) -> float:
    """Return the top-1 accuracy in percent.

    Args:
        net: Trained network.
        split: Images and labels.
    """
    return 100 * float((predict(net, split) == split.labels).double().mean())


def density(net: nn.Module) -> float | None:
    """Return the fraction of live weights of all convolutions with learned shapes.

    Args:
        net: Trained network.

    Returns:
        The fraction; None if there are no such convolutions.
    """
    learned = [module for module in net.modules() if isinstance(module, LearnedConv2d)]
    if not learned:
        return None
    return sum(m.layout.live_count for m in learned) / sum(m.total for m in learned)


def from_scratch(space: SearchSpace, data: Splits) -> None:
    """Print the accuracy of each redesign after training from random weights.

    Args:
        space: Search space.
        data: Data set.
    """
    print(f"{'':38}{'accuracy':>14}{'of the baseline':>18}{'density':>16}")
    baseline = 0.0
    for name in PRESETS:
        nets = [
            trained(
                redesigned(space, name, network(space, seed), False), data, space.file.train, seed
            )
            for seed in SEEDS
        ]
        found = [accuracy(net, data.validation) for net in nets]
        mean = statistics.mean(found)
        baseline = baseline or mean
        landed = [part for net in nets if (part := density(net)) is not None]
        between = f"{min(landed):.3f} to {max(landed):.3f}" if landed else ""
        print(
            f"{name:38}{mean:7.1f} +-{statistics.stdev(found):3.1f} %{mean / baseline:17.1%} "
            f"{between:>16}"
        )


def from_kept_weights(space: SearchSpace, data: Splits) -> None:
    """Print the accuracy of each redesign after one epoch from projected weights.

    Args:
        space: Search space.
        data: Data set.
    """
    print(
        f"{'':38}{'kept, BN anew':>15}{'then 1 epoch':>14}{'1 from scratch':>16}{'pairs won':>11}"
    )
    epoch = space.file.train.model_copy(update={"epochs": 1})
    # Steps as large as those for random weights would destroy the projected ones.
    gently = epoch.model_copy(update={"learning_rate": KEPT_RATE * epoch.learning_rate})
    bases = [trained(network(space, seed), data, space.file.train, seed) for seed in SEEDS]
    everything = torch.arange(len(data.train))
    for name in PRESETS:
        rows = []
        for seed, base in zip(SEEDS, bases, strict=True):
            net = redesigned(space, name, base, True)
            update_bn((images for images, _ in data.train.batches(everything, BATCH)), net)
            kept = accuracy(net.eval(), data.validation)
            tuned = accuracy(trained(net, data, gently, seed), data.validation)
            fresh = redesigned(space, name, network(space, seed), False)
            rows.append((kept, tuned, accuracy(trained(fresh, data, epoch, seed), data.validation)))
        kept, tuned, scratch = (statistics.mean(column) for column in zip(*rows, strict=True))
        won = sum(row[1] >= row[2] for row in rows)
        print(f"{name:38}{kept:13.1f} %{tuned:12.1f} %{scratch:14.1f} %{won:8} / {len(rows)}")


def main(arguments: list[str]) -> None:
    """Print one table or both.

    Args:
        arguments: Command line without the name of the program.
    """
    torch.set_num_threads(1)
    space = load_space("digits")
    data = space.splits
    if "kept" not in arguments:
        from_scratch(space, data)
    if "accuracy" not in arguments:
        from_kept_weights(space, data)


if __name__ == "__main__":
    main(sys.argv[1:])
