"""Whole networks with one preset in all slots: deployed inference, and a training step."""

import copy
import functools
import statistics
from collections import Counter
from collections.abc import Callable, MutableMapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

from dsx.allocator import keep_freed_memory
from dsx.bench._blocks import Block, Contenders
from dsx.bench._rounds import Effort, Ratio, time_rounds
from dsx.bench.convolutions.checks import check_close, check_gradients
from dsx.bench.convolutions.composition import compose
from dsx.bench.convolutions.contenders import COMPOSITION, DENSE, LAST, OWN
from dsx.bench.convolutions.operators import SCC, Family, Operator
from dsx.bench.convolutions.results import TRAINED, Result
from dsx.conv import ConvSpec, Deployed, DsxConv, Run, deploy
from dsx.conv.deploy import Choice
from dsx.conv.graph import swap
from dsx.measure.timing import exclusive, lock_name
from dsx.nets import network_builder
from dsx.process import torch_threads
from dsx.space import redesign

DEPLOYED = ("resnet18", "vgg16")
TRAINED_NETWORK = "resnet18"
SIDE, CLASSES = 32, 10
TRAINING_BATCH, TRAINING_ROUNDS = 128, 3
CHECKED_BATCH = 4
SEED = 0
TOLERANCE = 1e-3
"""Largest error of an output, relative to the largest one: folding BNs changes the last digits, and
deep networks amplify that."""
GRADIENT_TOLERANCE = 0.02
"""The same for gradients, which pass through the batch norms of all layers twice; those of each
single layer are checked with a smaller tolerance."""
EFFORT = Effort(seconds=3.0, least=15, most=99)


def build_network(name: str, operator: Operator | None) -> nn.Module:
    """Build a network for images of 32 x 32 with one operator in all slots.

    Args:
        name: Name of a network in `dsx/nets`.
        operator: Operator of each slot that supports it; None for the dense network.

    Returns:
        The network with fixed initial weights.
    """
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        network = network_builder(name)(small=True, classes=CLASSES)
        if operator is None:
            return network
        specs: dict[str, ConvSpec] = {}
        for slot, conv in network.named_modules():
            spec = operator.canonical(conv) if type(conv) is nn.Conv2d else None
            if spec is not None:
                specs[slot] = spec
        # Learned shapes have their target density only after a projection.
        return redesign(network, specs, keep_weights=operator.spec.learned)


def check_deployed(name: str, operator: Operator | None, deployed: nn.Module, x: Tensor) -> None:
    """Check the output of a deployed network.

    Args:
        name: Name of the network.
        operator: Operator of its slots; None for the dense network.
        deployed: The deployed network.
        x: Batch of images, (B, 3, 32, 32).

    Raises:
        WorkFailed: If it differs from that of the network.
    """
    with torch.inference_mode():
        expected = build_network(name, operator).eval()(x)
        case = f"dense {name}" if operator is None else f"{name} of {operator.name}"
        check_close(case, "the output of the deployed network", deployed(x), expected, TOLERANCE)


def measure_deployed(
    name: str,
    operator: Operator,
    threads: int,
    form_cache: MutableMapping[str, Choice],
    effort: Effort = EFFORT,
) -> Result:
    """Time a deployed network with one preset in all slots, and the dense one, at batch 1.

    Args:
        name: Name of the network.
        operator: Operator of its slots.
        threads: Number of threads of torch.
        form_cache: Selected deployed forms; new selections are added.
        effort: Effort of the timing.

    Returns:
        The result.

    Raises:
        WorkFailed: If the output of the deployed network is wrong.
    """
    with torch_threads(threads), exclusive(lock_name("cpu")), torch.random.fork_rng():
        deployed, runs = _deployed_runs(name, operator, form_cache)
        with torch.inference_mode():
            rounds = time_rounds(runs, effort, always=(OWN, DENSE))
    forms = Counter(choice.form for choice in deployed.choices.values())
    return Result(
        family=Family.NETWORK,
        operator=operator.name,
        layer=name,
        batch=1,
        threads=threads,
        training=False,
        form=", ".join(f"{count} {form}" for form, count in forms.most_common()),
        over={other: Ratio.of(rounds, OWN, other) for other in runs if other != OWN},
        share=0.0,
        seconds=statistics.median(each[OWN] for each in rounds),
    )


def _deployed_runs(
    name: str, operator: Operator, form_cache: MutableMapping[str, Choice]
) -> tuple[Deployed, dict[str, Run]]:
    """Return the deployed network, and the checked forward pass of each contender."""
    x = torch.randn(1, 3, SIDE, SIDE)
    deployed, dense = (
        deploy(build_network(name, each), x, form_cache=form_cache, native=True)
        for each in (operator, None)
    )
    last = copy.deepcopy(dense).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    last_x = x.contiguous(memory_format=torch.channels_last)
    check_deployed(name, operator, deployed, x)
    check_deployed(name, None, dense, x)
    check_deployed(name, None, last, last_x)
    return deployed, {
        OWN: functools.partial(deployed, x),
        DENSE: functools.partial(dense, x),
        DENSE + LAST: functools.partial(last, last_x),
    }


def _composed_network() -> nn.Module:
    network = build_network(TRAINED_NETWORK, SCC)
    inner = {
        part
        for conv in network.modules()
        if isinstance(conv, DsxConv)
        for part in conv.modules()
        if part is not conv
    }
    swap(
        network,
        {
            conv: compose(conv)
            for conv in network.modules()
            if isinstance(conv, DsxConv) and conv not in inner
        },
    )
    return network


def _dsx_network() -> nn.Module:
    return build_network(TRAINED_NETWORK, SCC)


def _prepare(build: Callable[[], nn.Module], threads: int, batch: int, keep_memory: bool) -> Block:
    """Prepare a training step in the process of a contender.

    Args:
        build: Function that builds the network.
        threads: Number of threads of torch.
        batch: Number of images.
        keep_memory: Whether to keep freed memory, as the command line of dsx does.

    Returns:
        A block that trains one step and returns the number of images.
    """
    if keep_memory:
        keep_freed_memory()
    torch.set_num_threads(threads)
    network = build().train()
    sgd = SGD(network.parameters(), lr=0.01, momentum=0.9)
    images, labels = torch.randn(batch, 3, SIDE, SIDE), torch.arange(batch) % CLASSES

    def block() -> int:
        sgd.zero_grad()
        F.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        sgd.step()
        return batch

    return block


def measure_training(
    threads: int, batch: int = TRAINING_BATCH, rounds: int = TRAINING_ROUNDS
) -> Result:
    """Time a training step of the network of sliding windows, and of its composition.

    Each runs in a process of its own: that of dsx with the settings of its command line, that of
    the composition with the default settings of torch. Both use float32.

    Args:
        threads: Number of threads of torch.
        batch: Number of images of a step.
        rounds: Number of rounds.

    Returns:
        The result.

    Raises:
        WorkFailed: If the output or a gradient is wrong.
    """
    check_training()
    builders = {OWN: _dsx_network, COMPOSITION: _composed_network}
    prepared = {
        name: functools.partial(_prepare, build, threads, batch, keep_memory=name == OWN)
        for name, build in builders.items()
    }
    with exclusive(lock_name("cpu")), Contenders(builders) as contenders:
        samples = contenders.run_interleaved(prepared, rounds)
    seconds = {
        name: [sample.cpu if threads == 1 else sample.wall for sample in own]
        for name, own in samples.items()
    }
    timed = [
        {OWN: own, COMPOSITION: composition}
        for own, composition in zip(seconds[OWN], seconds[COMPOSITION], strict=True)
    ]
    return Result(
        family=Family.TRAINING,
        operator=SCC.name,
        layer=TRAINED_NETWORK,
        batch=batch,
        threads=threads,
        training=True,
        form=TRAINED,
        over={COMPOSITION: Ratio.of(timed, OWN, COMPOSITION)},
        share=0.0,
        seconds=statistics.median(seconds[OWN]),
    )


def check_training() -> int:
    """Check the output and the gradients of a training step against those of the composition.

    Returns:
        The number of checked outputs and gradients.

    Raises:
        WorkFailed: If the output or a gradient is wrong.
    """
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        images = torch.randn(CHECKED_BATCH, 3, SIDE, SIDE)
    found = []
    for build in (_dsx_network, _composed_network):
        network = build()
        output = network(images)
        loss = output.square().mean()
        found.append((output.detach(), torch.autograd.grad(loss, list(network.parameters()))))
    case = f"training of {TRAINED_NETWORK} of {SCC.name}"
    (output, gradients), (expected, expected_gradients) = found
    check_close(case, f"the output of {OWN}", output, expected, TOLERANCE)
    return 1 + check_gradients(case, OWN, gradients, expected_gradients, GRADIENT_TOLERANCE)
