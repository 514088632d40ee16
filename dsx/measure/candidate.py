"""Candidates: designs whose networks are built, deployed and trained when a metric needs them."""

import functools
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dsx.analysis import DeploymentFacts
from dsx.conv import Cost, Deployed, DsxConv, Run, deploy, duplicate, move, set_mode
from dsx.conv.deploy import DENSE, Choice, structure, tensor_facts
from dsx.data import Splits
from dsx.errors import WorkFailed, raise_out_of_memory
from dsx.measure.backends import prepare, resolved, runner
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
    """Return the memory format of images and weights.

    Args:
        measure: The `measure` section of a space.

    Returns:
        The memory format of torch.
    """
    return torch.channels_last if measure.channels_last else torch.contiguous_format


def training_device() -> torch.device:
    """Return the device that candidates are trained on.

    Returns:
        The CUDA device if there is one, otherwise the CPU.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def training_facts(space: SearchSpace) -> dict[str, Any]:
    """Return everything that trained weights depend on, in addition to the design.

    Args:
        space: The space; its data are loaded.

    Returns:
        Data, training settings, pretrained weights, device and precision, as plain JSON values.
    """
    device = training_device()
    computed = chosen_precision(space.file.train.precision, device)
    return {**space.training, "device": device.type, "precision": computed}


class Candidate:
    """A design whose network is built, deployed and trained when a metric first needs it.

    Args:
        space: Search space of the design.
        design: The design.
        form_cache: Previously selected deployed forms by situation; new selections are added.
        reference_times: Reference times of this machine in milliseconds, by situation; new ones
            are added. See `dsx.measure.timing.reference_workload`.
        checkpoint: File to which the state of a long training is saved, and from which it is
            resumed; None to save none.
        on_lock_wait: Function that is called if another process holds the device lock.
        stop: Function from the losses of the first epochs to whether the training stops; see
            `dsx.train.train`.
    """

    def __init__(
        self,
        space: SearchSpace,
        design: Design,
        form_cache: MutableMapping[str, Choice] | None = None,
        reference_times: MutableMapping[str, float] | None = None,
        checkpoint: Path | None = None,
        on_lock_wait: Callable[[], None] | None = None,
        stop: Callable[[Sequence[float]], bool] | None = None,
    ) -> None:
        self.space = space
        self.design = design
        self.form_cache = {} if form_cache is None else form_cache
        self.reference_times = {} if reference_times is None else reference_times
        self.checkpoint = checkpoint
        self.on_lock_wait = on_lock_wait
        self.stop = stop
        self.losses: list[float] | None = None
        self._trained = False

    @functools.cached_property
    def cost(self) -> Cost:
        """Closed-form cost of the design; if shapes are learned, that of the trained shapes."""
        if not self.design.learned:
            return self.space.cost(self.design)
        return self.space.analysis.cost_of(self.trained())

    @functools.cached_property
    def network(self) -> nn.Module:
        """The redesigned network, which all metrics share."""
        return self.build()

    def build(self) -> nn.Module:
        """Build the redesigned network.

        Returns:
            The network; fresh weights are determined by the seed of the space.
        """
        with torch.random.fork_rng():
            torch.manual_seed(self.space.file.train.seed)
            kept = self.space.file.weights is not None
            return redesign(self.space.network(), self.design.changed, keep_weights=kept)

    @functools.cached_property
    def sample(self) -> Tensor:
        """Input batch with the size, dtype, layout and device of the `measure` section."""
        measure = self.space.file.measure
        generator = torch.Generator().manual_seed(0)
        shape = (measure.batch, *self.space.data.image_shape)
        sample = torch.randn(shape, generator=generator).to(measure.device, DTYPES[measure.dtype])
        return sample.contiguous(memory_format=layout(measure))

    @functools.cached_property
    def deployed(self) -> Deployed:
        """The deployed network, with the weights at the time of the first access.

        A design with learned shapes is trained first, because its latency depends on the shapes.
        """
        if self.design.learned:
            self.trained()
        measure = self.space.file.measure
        return deploy(
            self.inference_copy(),
            self.sample,
            timer=timer(measure, self.on_lock_wait),
            form_cache=self.form_cache,
            native=resolved(measure).deploy == "native",
            runner=runner(measure.backend, measure.threads),
        )

    @property
    def is_deployed(self) -> bool:
        """Whether the network was deployed already."""
        return "deployed" in vars(self)

    @property
    def deployment(self) -> DeploymentFacts:
        """Deployed forms and batch norm folding of the deployed network."""
        choices = self.deployed.choices
        compared = {name: each for name, each in choices.items() if DENSE in each.seconds}
        return DeploymentFacts(
            forms={name: choice.form for name, choice in choices.items()},
            selected_ms={name: 1e3 * each.seconds[each.form] for name, each in compared.items()},
            dense_ms={name: 1e3 * each.seconds[DENSE] for name, each in compared.items()},
            folded_norms=self.deployed.folded,
            unfolded_norms=self.deployed.unfolded,
            untraced=self.deployed.untraced,
            kernels=self.deployed.kernels,
        )

    @functools.cached_property
    def deployed_id(self) -> str:
        """Id of the deployed network: 32 hexadecimal digits, the same for equal networks.

        The id is the hash of the operators, forms, shapes and dtypes of the network and of its
        input. If the network cannot be described completely, the hash includes the design.
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
        """Function that runs the deployed network once in the backend of the space."""
        return self.run_of(self.deployed)

    def run_of(self, network: nn.Module) -> Run:
        """Prepare a network to be run on the sample in the backend of the space.

        Args:
            network: Network in eval mode, on the device of the sample.

        Returns:
            Function that runs the network once. It must be called in inference mode, with the
            number of torch threads of the `measure` section.
        """
        measure = self.space.file.measure

        def run_on(sample: Tensor) -> Run:
            return prepare(measure.backend, network, sample, measure.threads)

        if measure.device == "cuda":
            return gpu.rotating_run(run_on, self.sample, measure.cuda_graph)
        return run_on(self.sample)

    def inference_copy(self) -> nn.Module:
        """Copy the network to the device, dtype and layout of `sample`, with final decisions.

        Returns:
            The copy.
        """
        # Not in place, because a conversion to a smaller dtype would round the weights.
        network = duplicate(self.network)
        for module in network.modules():
            if isinstance(module, DsxConv):
                module.finalize()
        move(network, self.sample.device, self.sample.dtype)
        return move(network, layout=layout(self.space.file.measure))

    @functools.cached_property
    def splits(self) -> Splits:
        """Splits of the data set."""
        return self.space.splits

    def trained(self) -> nn.Module:
        """Train the network, unless it is already trained.

        Returns:
            The trained network in eval mode, on the CPU.

        Raises:
            TrialFailed: If training diverges.
            TrainingStopped: If `stop` ends the training.
        """
        if not self._trained:
            move(self.network, training_device())
            with self.shared_devices() as yield_device:
                self.losses = train(
                    self.network,
                    self.splits.train,
                    self.space.file.train,
                    checkpoint=self.checkpoint,
                    yield_device=yield_device,
                    stop=self.stop,
                )
            move(self.network, "cpu")
            self._trained = True
        return set_mode(self.network, False)

    @contextmanager
    def shared_devices(self) -> Iterator[Callable[[], None]]:
        """Hold the shared locks of the CPU and the training device for work that is not timed.

        Yields:
            Function to be called between two steps of the work; it blocks while another process
            times.
        """
        devices = {lock_name(device) for device in ("cpu", training_device().type)}
        with ExitStack() as stack:
            yields = [stack.enter_context(shared(device)) for device in sorted(devices)]

            def yield_device() -> None:
                for each in yields:
                    each()

            yield yield_device

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Load the weights of an earlier training instead of training.

        Args:
            weights: State dict of the trained network.

        Raises:
            WorkFailed: If the weights do not belong to this network.
        """
        # Pretrained weights are not loaded, because all weights are replaced.
        self.network = redesign(self.space.network(fresh=True), self.design.changed)
        try:
            restore(self.network, weights)
        except RuntimeError as error:
            raise_out_of_memory(error)
            del self.network  # some weights may have been replaced
            problem = " ".join(str(error).split())
            raise WorkFailed(f"the weights do not belong to this network: {problem}") from error
        self._trained = True


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A network that was loaded from exported files.

    Args:
        candidate: Candidate of the exported design.
        network: Loaded network in eval mode, with the device and dtype of the candidate's sample.
        params: Number of parameters of the design in the weights file.
        bits: Size of these parameters in the weights file, in bits.
    """

    candidate: Candidate
    network: nn.Module
    params: int
    bits: int
