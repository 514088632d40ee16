"""Candidate: a design on its way through the metrics, and a network read back from files."""

import functools
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dsx.analysis import DeploymentFacts
from dsx.conv import Cost, Deployed, DsxConv, Run, deploy, duplicate, move, set_mode
from dsx.conv.deploy import Choice, structure, tensor_facts
from dsx.data import Splits
from dsx.errors import WorkFailed, raise_out_of_memory
from dsx.measure.backends import prepare, runner
from dsx.measure.timing import gpu
from dsx.measure.timing.device_lock import lock_name, shared
from dsx.measure.timing.form_timer import timer
from dsx.plain import canonical_hash
from dsx.space import Design, SearchSpace, redesign
from dsx.space.weights import restore
from dsx.space.yaml import Measure
from dsx.train import chosen_precision, train

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


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


class Candidate:
    """A design on its way through the metrics: built, deployed, trained when first needed.

    Args:
        space: The space that the design is from.
        design: What to build.
        known: Deployed forms chosen before; new choices are added.
        references: Reference times of this machine; see
            `dsx.measure.timing.reference_workload`.
        checkpoint: Where a long training is written down on its way, and gone on with.
        on_lock_wait: Told that the device is not free: another process times on it.
    """

    def __init__(
        self,
        space: SearchSpace,
        design: Design,
        form_cache: MutableMapping[str, Choice] | None = None,
        reference_times: MutableMapping[str, float] | None = None,
        checkpoint: Path | None = None,
        on_lock_wait: Callable[[], None] | None = None,
    ) -> None:
        self.space = space
        self.design = design
        self.form_cache = {} if form_cache is None else form_cache
        self.reference_times = {} if reference_times is None else reference_times
        self.checkpoint = checkpoint
        self.on_lock_wait = on_lock_wait
        self.losses: list[float] | None = None
        self._trained = False

    @functools.cached_property
    def cost(self) -> Cost:
        """The cost by closed form; for learned shapes that of the shapes after training."""
        if not self.design.learned:
            return self.space.cost(self.design)
        return self.space.analysis.cost_of(self.trained())

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
            timer=timer(measure, self.on_lock_wait),
            form_cache=self.form_cache,
            native=measure.deploy == "native",
            runner=runner(measure.backend, measure.threads),
        )

    @property
    def deployment(self) -> DeploymentFacts:
        """The facts of the deployed network."""
        return DeploymentFacts(
            forms={name: choice.form for name, choice in self.deployed.choices.items()},
            folded_norms=self.deployed.folded,
            unfolded_norms=self.deployed.unfolded,
            untraced=self.deployed.untraced,
        )

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
                module.finalize()
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
            with self.at_leisure() as yield_device:
                self.losses = train(
                    self.network,
                    self.splits.train,
                    self.space.file.train,
                    checkpoint=self.checkpoint,
                    yield_device=yield_device,
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

            def yield_device() -> None:
                for way in ways:
                    way()

            yield yield_device

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
