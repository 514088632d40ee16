"""The training loop for all candidates, which can be resumed after any step."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dsx.activity import Kind, activity
from dsx.conv import ShapeSchedule, set_mode
from dsx.data import Split
from dsx.errors import DsxError, TrainingStopped, TrialFailed
from dsx.space.weights import ENCODED, restore, state_of
from dsx.space.yaml import Train
from dsx.train.augment import Targets, augment
from dsx.train.checkpoint import read, write
from dsx.train.forward import Forward
from dsx.train.optimizers import Optimizers
from dsx.train.precision import chosen_precision
from dsx.train.prediction import device_of
from dsx.train.repeatable import (
    deterministic_cudnn,
    epoch_order,
    random_state,
    seeded_random_state,
    set_random_state,
)

CHECK_SECONDS = 1.0
"""Interval in seconds between checks of the loss, each of which synchronises with a GPU."""
SAVE_SECONDS = 60.0

Report = Callable[[float, float], None]
"""Callback with the completed fraction of the training and the loss of the latest batch."""


def train(
    network: nn.Module,
    split: Split,
    settings: Train,
    *,
    checkpoint: Path | None = None,
    save_seconds: float = SAVE_SECONDS,
    check_seconds: float = CHECK_SECONDS,
    report: Report | None = None,
    yield_device: Callable[[], None] | None = None,
    stop: Callable[[Sequence[float]], bool] | None = None,
) -> list[float]:
    """Train a classifier in place, on its device.

    On one device, equal settings yield bitwise equal weights, even if the training was interrupted
    and resumed.

    Args:
        network: Network from images (B, C, H, W) to logits (B, classes); it is in eval mode
            afterwards.
        split: Images to train on.
        settings: Settings of the training, the `train` section of a space.
        checkpoint: File to resume from, if it exists, and to write the state to, regularly and at
            the end. A training that ended after fewer epochs is continued with the schedule of
            the longer one. The caller has to delete the file.
        save_seconds: Minimum time between two writes of the checkpoint in seconds.
        check_seconds: Interval in seconds after which the loss is checked and reported within an
            epoch.
        report: Callback that is called after each epoch, and at the latest after `check_seconds`.
        yield_device: Callback that is called between two steps, and may block.
        stop: Function that is called after each epoch except the last with the mean loss of each
            epoch, and returns whether the training stops there.

    Returns:
        The mean loss of each epoch, without regularisation.

    Raises:
        TrialFailed: If the loss is not finite.
        DsxError: If the checkpoint is damaged or belongs to another training, or if the settings
            are not supported for the images or this machine.
        WorkFailed: If the checkpoint cannot be written.
        TrainingStopped: If `stop` returns true. The checkpoint, if there is one, has the state.
    """
    training = _Training(network, split, settings)
    random = seeded_random_state(training.device, settings.seed)
    with random, deterministic_cudnn(), training.forward.prepared():
        if checkpoint is not None:
            training.resume(checkpoint)
        checked = saved = time.monotonic()
        for epoch_ended in training.steps():
            if yield_device is not None:
                yield_device()
            now = time.monotonic()
            if not epoch_ended and now - checked < min(check_seconds, save_seconds):
                continue
            checked = now
            loss = training.collect_losses()
            if report is not None:
                report(training.step / training.total, loss)
            unfinished = training.step < training.total
            stops = epoch_ended and unfinished and stop is not None and stop(training.losses)
            if checkpoint is not None and unfinished and (stops or now - saved >= save_seconds):
                write(checkpoint, training.state())
                saved = now
            if stops:
                raise TrainingStopped(f"the training was stopped after {_epochs(training.losses)}")
        training.finish()
        if checkpoint is not None:
            write(checkpoint, training.state())
    return training.losses


def _epochs(losses: Sequence[float]) -> str:
    return "1 epoch" if len(losses) == 1 else f"{len(losses)} epochs"


class _Training:
    """A training in progress, whose state can be saved between two steps.

    Attributes:
        step: Number of completed steps.
        losses: Mean loss of each completed epoch.
    """

    def __init__(self, network: nn.Module, split: Split, settings: Train) -> None:
        self.network, self.split, self.settings = network, split, settings
        self.device = device_of(network)
        self.batch = min(settings.batch_size, len(split))
        self.epoch_steps = len(split) // self.batch
        self.total = settings.epochs * self.epoch_steps
        sample, _ = next(split.batches(torch.arange(1), 1, self.device))
        for key, problem in settings.augment.size_errors(*sample.shape[2:]).items():
            raise DsxError(f"train.augment.{key}: {problem}")
        self.shape_schedule = ShapeSchedule(network, sample, settings.epochs)
        self.forward = Forward(network, settings, self.device)
        self.optimizers = Optimizers(network, settings, self.total)
        self.step, self.losses = 0, list[float]()
        self._sum, self._pending = 0.0, list[Tensor]()

    def steps(self) -> Iterator[bool]:
        """Run the remaining steps; yields after each step whether an epoch has ended."""
        set_mode(self.network, True)
        with activity(Kind.TRAINING, self.settings.epochs, "epoch") as progress:
            progress.advance(self.step / self.epoch_steps)
            while self.step < self.total:
                epoch, done = divmod(self.step, self.epoch_steps)
                # The images that do not fill a batch are omitted; they differ in each epoch.
                order = epoch_order(len(self.split), self.settings.seed, epoch)
                remaining = order[done * self.batch : self.epoch_steps * self.batch]
                for images, labels in self.split.batches(remaining, self.batch, self.device):
                    self._pending.append(self._learn(images, labels))
                    self.step += 1
                    progress.advance(self.step / self.epoch_steps)
                    yield self.step % self.epoch_steps == 0

    def _learn(self, images: Tensor, labels: Tensor) -> Tensor:
        """Run one step, and return its task loss."""
        self.shape_schedule.advance(self.step / self.total)
        self.optimizers.zero_gradients()
        images, targets = augment(images, labels, self.settings.augment)
        images = self.forward.to_memory_layout(images)
        if self.settings.accumulate == 1:
            loss = self.forward.loss(images, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            task = loss.detach()
        else:
            task = self._accumulate(images, targets)
        penalty = self.shape_schedule.penalty(task)
        if penalty is not None:
            penalty.backward()  # type: ignore[no-untyped-call]
        self.optimizers.step(self.step)
        return task

    def _accumulate(self, images: Tensor, targets: Targets) -> Tensor:
        """Accumulate gradients over the parts of a batch, and return the loss of the batch."""
        parts = self.settings.accumulate
        label_chunks = [labels.chunk(parts) for labels, _ in targets]
        losses = []
        for number, part in enumerate(images.chunk(parts)):
            part_targets = [
                (chunks[number], weight)
                for chunks, (_, weight) in zip(label_chunks, targets, strict=True)
            ]
            loss = self.forward.loss(part, part_targets) * (len(part) / len(images))
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def collect_losses(self) -> float:
        """Wait for the pending losses, check that they are finite, and return the latest one."""
        epoch = (self.step - 1) // self.epoch_steps
        losses = torch.stack(self._pending).tolist()
        self._pending.clear()
        for loss in losses:
            self._sum += loss
        if not math.isfinite(self._sum):
            problem = f"the loss is {self._sum} in epoch {epoch + 1}"
            raise TrialFailed(f"training diverged: {problem}")
        if self.step % self.epoch_steps == 0:
            self.losses.append(self._sum / self.epoch_steps)
            self._sum = 0.0
        return float(losses[-1])

    def finish(self) -> None:
        """End the training: finalize the learned shapes, and set eval mode."""
        self.shape_schedule.advance(1.0)
        set_mode(self.network, False)

    def state(self) -> dict[str, Any]:
        """Return the state of the training; requires `collect_losses` first."""
        return {
            "about": self._about(),
            "ended": self.step == self.total,
            "step": self.step,
            "losses": list(self.losses),
            "sum": self._sum,
            "network": state_of(self.network),
            "optimizers": self.optimizers.state(),
            "shaping": self.shape_schedule.state(),
            "random": random_state(self.device),
        }

    def resume(self, checkpoint: Path) -> None:
        """Restore the state from a checkpoint, if it exists."""
        state = read(checkpoint, self._about())
        if state is None:
            return
        restore(self.network, state["network"])
        self.shape_schedule.restore(state["shaping"])
        # Built again, because the shapes that a shorter training has frozen are final from now on.
        self.optimizers = Optimizers(self.network, self.settings, self.total)
        self.optimizers.restore(state["optimizers"])
        set_random_state(self.device, state["random"])
        self.step, self.losses, self._sum = state["step"], state["losses"], state["sum"]

    def _about(self) -> dict[str, Any]:
        """Describe the training, to compare it with that of a checkpoint."""
        tensors = [
            # The encoding of an arbitrary value can have another length after each step.
            n if n.endswith(ENCODED) else f"{n} {[*t.shape]} {t.dtype}"
            for n, t in state_of(self.network).items()
        ]
        settings = self.settings.model_dump(exclude={"augment"})
        augmentations = self.settings.augment.model_dump()
        return {
            "train": {
                **settings,
                **{f"augment.{key}": value for key, value in augmentations.items()},
                "precision": chosen_precision(self.settings.precision, self.device),
            },
            "network": "\n".join([repr(self.network), *tensors]),
            "images": self.split.fingerprint,
            "device": self.device.type,
        }
