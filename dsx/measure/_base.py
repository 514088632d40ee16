"""What a metric is, and the candidate it is measured on."""

import functools
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dsx.conv import Cost, Deployed, DsxConv, deploy
from dsx.conv.deploy import Choice, structure, tensor_facts
from dsx.conv.network_calls import duplicate, move, set_mode
from dsx.conv.timing import Run
from dsx.data import Splits
from dsx.errors import WorkFailed, raise_out_of_memory
from dsx.measure import gpu
from dsx.measure.backends import prepare, runner
from dsx.measure.lock import lock_name, shared
from dsx.measure.race import timer
from dsx.plain import canonical_hash, plain_fields
from dsx.space import Design, SearchSpace, redesign
from dsx.space.schema import Measure
from dsx.space.state import restore
from dsx.train import chosen_precision, train

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One measured number and its making.

    Args:
        value: In the metric's unit.
        low: Lower end of the 95 % interval; the value itself where it is exact.
        high: Upper end.
        samples: What the value was taken from, in the metric's unit.
        conditions: What else the number depends on, as plain JSON values.
    """

    value: float
    low: float
    high: float
    samples: Sequence[float] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain_fields(self)


def layout(measure: Measure) -> torch.memory_format:
    """Give the layout of images and weights at work."""
    return torch.channels_last if measure.channels_last else torch.contiguous_format


def training_device() -> torch.device:
    """Say where candidates are trained: on a CUDA device where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def training_facts(space: SearchSpace) -> dict[str, Any]:
    """Say what trained weights depend on beside the design, as plain JSON values.

    Args:
        space: The space; its data are loaded for this.

    Returns:
        Data, settings, the weights to begin with, and what this machine makes of the settings.
    """
    device = training_device()
    computed = chosen_precision(space.file.train.precision, device)
    return {**space.training, "device": device.type, "precision": computed}


def exact(value: float) -> Reading:
    """Make the reading of a number that was counted, not measured."""
    return Reading(value=value, low=value, high=value)


class Candidate:
    """A design on its way through the metrics: built, deployed, trained when first needed.

    Args:
        space: The space that the design is from.
        design: What to build.
        known: Deployed forms chosen before; new choices are added.
        references: How long the sentinel takes on this machine; see `dsx.measure.sentinel`.
        checkpoint: Where a long training is written down on its way, and gone on with.
        waiting: Told that the device is not free: another process times on it.
    """

    def __init__(
        self,
        space: SearchSpace,
        design: Design,
        known: MutableMapping[str, Choice] | None = None,
        references: MutableMapping[str, float] | None = None,
        checkpoint: Path | None = None,
        waiting: Callable[[], None] | None = None,
    ) -> None:
        self.space = space
        self.design = design
        self.known = {} if known is None else known
        self.references = {} if references is None else references
        self.checkpoint = checkpoint
        self.waiting = waiting
        self.losses: list[float] | None = None
        self._trained = False

    @functools.cached_property
    def cost(self) -> Cost:
        """The cost by closed form; for learned shapes that of the shapes after training."""
        if not self.design.learned:
            return self.space.cost(self.design)
        return self.space.census.cost_of(self.trained())

    @functools.cached_property
    def network(self) -> nn.Module:
        """The redesigned network, once for all that is done with it."""
        return self.build()

    def build(self) -> nn.Module:
        """Build the redesigned network; the same seed gives the same fresh weights."""
        with torch.random.fork_rng():
            torch.manual_seed(self.space.file.train.seed)
            kept = self.space.file.weights is not None
            return redesign(self.space.network(), self.design.changed, keep_weights=kept)

    @functools.cached_property
    def sample(self) -> Tensor:
        """An input as it will be at work: batch, dtype, layout and device of `measure`."""
        measure = self.space.file.measure
        generator = torch.Generator().manual_seed(0)
        shape = (measure.batch, *self.space.data.image_shape)
        sample = torch.randn(shape, generator=generator).to(measure.device, DTYPES[measure.dtype])
        return sample.contiguous(memory_format=layout(measure))

    @functools.cached_property
    def deployed(self) -> Deployed:
        """The deployed network, with the weights of the moment it is first asked for.

        Learned shapes are trained first: which weights are left decides how fast they run.
        """
        if self.design.learned:
            self.trained()
        measure = self.space.file.measure
        return deploy(
            self.at_work(),
            self.sample,
            timer=timer(measure, self.waiting),
            known=self.known,
            native=measure.deploy == "native",
            runner=runner(measure.backend, measure.threads),
        )

    @property
    def deployment(self) -> dict[str, Any]:
        """How it is deployed, as plain JSON values."""
        return {
            "forms": {name: choice.form for name, choice in self.deployed.choices.items()},
            "folded_norms": self.deployed.folded,
            "unfolded_norms": self.deployed.unfolded,
            "untraced": self.deployed.untraced,
        }

    @functools.cached_property
    def deployed_id(self) -> str:
        """Id of the deployed network: 32 hexadecimal digits that equal deployed networks share.

        The hash of its operators, forms, shapes and dtypes and of its input. A network that cannot
        be described completely shares its id with no other design.
        """
        found = structure(self.deployed.network)
        facts = {
            "network": found.facts,
            "input": tensor_facts(self.sample),
            "design": None if found.complete else self.design.id,
        }
        return canonical_hash(facts, 32)

    @functools.cached_property
    def run(self) -> Run:
        """Runs the deployed network once, as the space's backend does it."""
        return self.run_of(self.deployed)

    def run_of(self, network: nn.Module) -> Run:
        """Prepare a network to be run once on the sample, as the space's backend does it.

        Args:
            network: In eval mode, on the device of the sample.

        Returns:
            Runs it once; in inference mode, with as many torch threads as `measure` says.
        """
        measure = self.space.file.measure

        def run_on(sample: Tensor) -> Run:
            return prepare(measure.backend, network, sample, measure.threads)

        if measure.device == "cuda":
            return gpu.at_work(run_on, self.sample, measure.cuda_graph)
        return run_on(self.sample)

    def at_work(self) -> nn.Module:
        """Copy the network as it will be at work, decisions unchanged: see `sample`."""
        # A copy: there and back again, a smaller dtype would round the weights to be trained.
        network = duplicate(self.network)
        for module in network.modules():
            if isinstance(module, DsxConv):
                module.settle()
        move(network, self.sample.device, self.sample.dtype)
        return move(network, layout=layout(self.space.file.measure))

    @functools.cached_property
    def splits(self) -> Splits:
        """The data."""
        return self.space.splits

    def trained(self) -> nn.Module:
        """Give the network after training, which happens once.

        Returns:
            The network in eval mode.

        Raises:
            TrialFailed: If training diverges.
        """
        if not self._trained:
            # Trained where that is fast; measured where it will be at work.
            move(self.network, training_device())
            with self.at_leisure() as give_way:
                self.losses = train(
                    self.network,
                    self.splits.train,
                    self.space.file.train,
                    checkpoint=self.checkpoint,
                    give_way=give_way,
                )
            move(self.network, "cpu")
            self._trained = True
        return set_mode(self.network, False)

    @contextmanager
    def at_leisure(self) -> Iterator[Callable[[], None]]:
        """Do long work that pauses whenever any process of this machine times.

        Yields:
            To be called between two pieces of the work.
        """
        devices = {lock_name(device) for device in ("cpu", training_device().type)}
        with ExitStack() as stack:
            ways = [stack.enter_context(shared(device)) for device in sorted(devices)]

            def give_way() -> None:
                for way in ways:
                    way()

            yield give_way

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the weights of an earlier training, in place of a training.

        Args:
            weights: State dict of the trained network.

        Raises:
            WorkFailed: If they are not of this network.
        """
        # All of it is replaced, so that the weights to begin with are not needed any more.
        self.network = redesign(self.space.network(fresh=True), self.design.changed)
        try:
            restore(self.network, weights)
        except RuntimeError as error:
            raise_out_of_memory(error)
            del self.network  # some of it may have been filled
            problem = " ".join(str(error).split())
            raise WorkFailed(f"the weights are not of this network: {problem}") from error
        self._trained = True


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A network as loaded from exported files, ready to be measured.

    Args:
        candidate: The design that was exported.
        network: The loaded network in eval mode, on the device and in the dtype of the candidate's
            sample.
        params: Number of parameters of the design that the file of weights holds.
        bits: Size in bits of those parameters in the file of weights.
    """

    candidate: Candidate
    network: nn.Module
    params: int
    bits: int


Stage = Literal["static", "timed", "projected", "trained"]
STAGES: tuple[Stage, ...] = ("static", "timed", "projected", "trained")
Noise = Literal["exact", "sampled", "seeded"]
Refinement = Literal["none", "re-measure", "retrain"]
_USUAL_NOISE: Mapping[Stage, Noise] = {
    "static": "exact", "timed": "sampled", "projected": "exact", "trained": "seeded"
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured quantity, and everything that the rest of dsx has to know of it.

    Args:
        unit: Of its values; empty for a plain count.
        direction: Which way is better.
        stage: What has to happen before it is known: nothing, a deployed network, one that has
            classified images as it was built, a trained one.
        read: Measures one candidate.
        protocol: What of a space the number depends on, as plain JSON values; numbers with
            another protocol are other numbers.
        noise: By what two measurements of one design differ: by nothing, by the moment, by the
            seed of the training; by default what is usual at that stage.
        closed_form: Reads the metric off the cost of a design; None if only `read` tells it.
        always: Whether it is measured in every space that has what it needs.
        rank: Place among the metrics of its stage in a list, before those with a larger one.
        read_in_turn: Measures several candidates so that a drift of the machine hits all alike;
            called with them and with what is told that the device is not free. None if they are
            measured one by one.
        read_exported: Measures exported files, as readings by name; None if exported files are not
            measured for this metric.
        lacks: Says what a space lacks for it, in words that follow the metric's name; an empty
            string where nothing.
        absent: Says why it cannot be measured on this machine for a space, in words that follow
            the metric's name; an empty string where it can.
    """

    unit: str
    direction: Literal["minimize", "maximize"]
    stage: Stage
    read: Callable[[Candidate], Reading]
    protocol: Callable[[SearchSpace], Mapping[str, Any]]
    noise: Noise | None = None
    closed_form: Callable[[Cost], float] | None = None
    always: bool = False
    rank: int = 10
    read_in_turn: (
        Callable[[Sequence[Candidate], Callable[[], None] | None], list[Reading]] | None
    ) = None
    read_exported: Callable[[Exported], Mapping[str, Reading]] | None = None
    lacks: Callable[[SearchSpace], str] = lambda space: ""
    absent: Callable[[SearchSpace], str] = lambda space: ""

    @property
    def refinement(self) -> Refinement:
        """How its value becomes more certain; what is read after a training, by another one."""
        noise = self.noise or _USUAL_NOISE[self.stage]
        if noise == "exact":
            return "none"
        return "retrain" if noise == "seeded" or self.stage == "trained" else "re-measure"


def in_order(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Sort metrics, the cheap ones first.

    Args:
        metrics: By name.

    Returns:
        The same, by stage, rank and name.
    """

    def place(item: tuple[str, Metric]) -> tuple[int, int, str]:
        name, metric = item
        return STAGES.index(metric.stage), metric.rank, name

    return dict(sorted(metrics.items(), key=place))
