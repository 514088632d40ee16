"""Train a network: one loop for every candidate, which can be taken up at any step."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dsx.activity import Kind, activity
from dsx.conv import Shaping, set_mode
from dsx.data import Split
from dsx.errors import DsxError, TrialFailed
from dsx.space.weights import ENCODED, restore, state_of
from dsx.space.yaml import Train
from dsx.train.augment import Targets, augment
from dsx.train.checkpoint import read, write
from dsx.train.forward import Forward
from dsx.train.optimizers import Optimizers
from dsx.train.precision import chosen_precision
from dsx.train.prediction import device_of
from dsx.train.repeatable import (
    epoch_order,
    own_random_numbers,
    random_state,
    repeatable_sums,
    set_random_state,
)

LOOK_SECONDS = 1.0
"""How long a training runs on before its loss is looked at; a GPU has to be waited for then."""
SAVE_SECONDS = 60.0

Report = Callable[[float, float], None]
"""Told the share of the training that is done, and the loss of the latest batch."""


def train(
    network: nn.Module,
    split: Split,
    settings: Train,
    *,
    checkpoint: Path | None = None,
    save_seconds: float = SAVE_SECONDS,
    look_seconds: float = LOOK_SECONDS,
    report: Report | None = None,
    yield_device: Callable[[], None] | None = None,
) -> list[float]:
    """Train a classifier in place, on the device it is on.

    The same settings give the same weights, to the bit, on one device; also if the training was
    killed on its way and taken up again.

    Args:
        network: From images (B, C, H, W) to logits (B, classes); is in eval mode afterwards.
        split: What to train on.
        settings: The `train` of a space.
        checkpoint: A file to go on from, if it exists, and to write the training to, now and then
            and at its end. The end of a shorter training is gone on with, too: with the schedule of
            the longer one, from the epoch that was reached. The file is the caller's to delete.
        save_seconds: Least time from one writing to the next.
        look_seconds: Time after which the loss is read and reported within an epoch.
        report: Told at the end of each epoch, and once a second, how far the training is.
        give_way: Called between two steps; may take its time.

    Returns:
        The mean loss of each epoch, that of the task alone.

    Raises:
        TrialFailed: If the loss is no longer a finite number.
        DsxError: If the checkpoint is damaged or of another training, or the settings do not fit
            the images or this machine.
        WorkFailed: If the checkpoint cannot be written.
    """
    training = _Training(network, split, settings)
    own = own_random_numbers(training.device, settings.seed)
    with own, repeatable_sums(), training.forward.prepared():
        if checkpoint is not None:
            training.resume(checkpoint)
        looked = saved = time.monotonic()
        for epoch_over in training.steps():
            if yield_device is not None:
                yield_device()
            now = time.monotonic()
            if not epoch_over and now - looked < min(look_seconds, save_seconds):
                continue
            looked = now
            loss = training.settle()
            if report is not None:
                report(training.step / training.total, loss)
            due = now - saved >= save_seconds and training.step < training.total
            if checkpoint is not None and due:
                write(checkpoint, training.state())
                saved = now
        training.finish()
        if checkpoint is not None:
            write(checkpoint, training.state())
    return training.losses


class _Training:
    """A training on its way; between two steps it can be written down.

    Attributes:
        step: Steps done, of the whole training.
        losses: Mean of each epoch that is over.
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
        self.shaping = Shaping(network, sample, settings.epochs)
        self.forward = Forward(network, settings, self.device)
        self.optimizers = Optimizers(network, settings, self.total)
        self.step, self.losses = 0, list[float]()
        self._sum, self._pending = 0.0, list[Tensor]()

    def steps(self) -> Iterator[bool]:
        """Go through the steps that are left; says after each whether an epoch is over."""
        set_mode(self.network, True)
        with activity(Kind.TRAINING, self.settings.epochs, "epoch") as progress:
            progress.advance(self.step / self.epoch_steps)
            while self.step < self.total:
                epoch, done = divmod(self.step, self.epoch_steps)
                # The rest that does not fill a batch differs from epoch to epoch.
                order = epoch_order(len(self.split), self.settings.seed, epoch)
                left = order[done * self.batch : self.epoch_steps * self.batch]
                for images, labels in self.split.batches(left, self.batch, self.device):
                    self._pending.append(self._learn(images, labels))
                    self.step += 1
                    progress.advance(self.step / self.epoch_steps)
                    yield self.step % self.epoch_steps == 0

    def _learn(self, images: Tensor, labels: Tensor) -> Tensor:
        """Make one step; gives its loss, that of the task alone."""
        self.shaping.advance(self.step / self.total)
        self.optimizers.forget_gradients()
        images, targets = augment(images, labels, self.settings.augment)
        images = self.forward.laid_out(images)
        if self.settings.accumulate == 1:
            loss = self.forward.loss(images, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            task = loss.detach()
        else:
            task = self._in_parts(images, targets)
        penalty = self.shaping.penalty(task)
        if penalty is not None:
            penalty.backward()  # type: ignore[no-untyped-call]
        self.optimizers.step(self.step)
        return task

    def _in_parts(self, images: Tensor, targets: Targets) -> Tensor:
        """Sum gradients up part by part; gives the loss of all parts together."""
        parts = self.settings.accumulate
        own = [labels.chunk(parts) for labels, _ in targets]
        losses = []
        for number, part in enumerate(images.chunk(parts)):
            theirs = [(o[number], share) for o, (_, share) in zip(own, targets, strict=True)]
            loss = self.forward.loss(part, theirs) * (len(part) / len(images))
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def settle(self) -> float:
        """Wait for the losses so far and look at them; gives the latest one."""
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
        """End the training: shapes are final, and the network is ready to be used."""
        self.shaping.advance(1.0)
        set_mode(self.network, False)

    def state(self) -> dict[str, Any]:
        """Write the training down, after `settle`."""
        return {
            "about": self._about(),
            "ended": self.step == self.total,
            "step": self.step,
            "losses": list(self.losses),
            "sum": self._sum,
            "network": state_of(self.network),
            "optimizers": self.optimizers.state(),
            "shaping": self.shaping.state(),
            "random": random_state(self.device),
        }

    def resume(self, checkpoint: Path) -> None:
        """Go on where a checkpoint is, if there is one."""
        state = read(checkpoint, self._about())
        if state is None:
            return
        restore(self.network, state["network"])
        self.shaping.restore(state["shaping"])
        # Anew: shapes that a shorter training has frozen are settled decisions from now on.
        self.optimizers = Optimizers(self.network, self.settings, self.total)
        self.optimizers.restore(state["optimizers"])
        set_random_state(self.device, state["random"])
        self.step, self.losses, self._sum = state["step"], state["losses"], state["sum"]

    def _about(self) -> dict[str, Any]:
        """Say what training this is."""
        tensors = [
            # The bytes of another value can have another length after each step.
            n if n.endswith(ENCODED) else f"{n} {[*t.shape]} {t.dtype}"
            for n, t in state_of(self.network).items()
        ]
        settings = self.settings.model_dump(exclude={"augment"})
        changes = self.settings.augment.model_dump()
        return {
            "train": {
                **settings,
                **{f"augment.{key}": value for key, value in changes.items()},
                "precision": chosen_precision(self.settings.precision, self.device),
            },
            "network": "\n".join([repr(self.network), *tensors]),
            "images": self.split.fingerprint,
            "device": self.device.type,
        }
