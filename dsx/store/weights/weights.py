"""Weights: the trained weights of the baseline, the front and the running design, as files."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from sqlalchemy import Engine
from torch import Tensor, nn

from dsx.errors import StorageError, WorkFailed, parameter
from dsx.files import make_folder, write
from dsx.plain import canonical_hash
from dsx.space.weights import state_of
from dsx.store.database.engine import database_id, parse_url, sqlite_file
from dsx.store.database.schema import WeightFileRow
from dsx.store.weights.files import WeightFiles

SAFETENSORS, CHECKPOINT = ".safetensors", ".training"


class Weights:
    """The weight files of one study.

    Args:
        engine: The study's database.
        storage: Its URL; files lie beside it, or in `studies/` for a server.
        study: Name of the study.
        training: Id of the training, see `training_id`, so that weights of another training are
            never mistaken for these; empty if the study has no metric that needs a training.
    """

    def __init__(self, engine: Engine, storage: str, study: str, training: str) -> None:
        self.engine, self.study, self.training = engine, study, training
        self.files = WeightFiles(engine, study_folder(storage, study).parent)
        # Processes that use one server can run in different folders.
        self._scattered = sqlite_file(parse_url(storage)) is None

    def check_folder(self) -> None:
        """Check that the files can have their folder, before a training takes its time.

        Raises:
            StorageError: If a file is in the place of the folder.
        """
        folder = self.files.root / self.study
        for path in (folder, folder / "weights"):
            if self.training and path.exists() and not path.is_dir():
                raise StorageError(
                    f"'{path}' is a file, and trained weights need a folder there (move the file, "
                    f"or choose another name: {parameter('study', 'NAME')})"
                )

    def save(self, design: str, network: nn.Module) -> None:
        """Write a trained network's weights; the file appears whole or not at all.

        Args:
            design: Design id.
            network: The trained network.

        Raises:
            WorkFailed: If they cannot be written.
        """
        # Cloned, since safetensors refuses one tensor under two names.
        state = {
            name: tensor.clone(memory_format=torch.contiguous_format)
            for name, tensor in state_of(network).items()
        }
        facts = {
            "design": design,
            "training": self.training,
            "database": database_id(self.engine),
        }
        try:
            content = save(state, facts)
        except SafetensorError as error:
            raise WorkFailed(f"the weights of {design} cannot be written: {error}") from error
        self._write(design, content)

    def load(self, design: str) -> dict[str, Tensor] | None:
        """Read the weights of a design, from this study or another one of its database.

        Args:
            design: Design id.

        Returns:
            The state dict; None if no study keeps undamaged weights of this training.
        """
        found = self._find(design)
        return None if found is None else load(found[1])

    def adopt(self, design: str) -> None:
        """Copy the weights of a design from another study of the database, if one has them.

        Args:
            design: Design id.

        Raises:
            WorkFailed: If they cannot be written.
        """
        found = self._find(design)
        if found is not None and found[0] != self.study:
            self._write(design, found[1])

    def prune(self, designs: Set[str]) -> None:
        """Delete the files of all other designs, and of other trainings.

        Args:
            designs: Ids of the designs whose weights stay.
        """
        for row in self.files.find(WeightFileRow.study == self.study):
            if row.design in designs and row.training == self.training:
                continue
            if self._scattered and not self.files.path(row).exists():
                continue
            self.files.dispose(row)

    def checkpoint(self, design: str, training: str | None = None) -> Path:
        """Return the file of an unfinished training, whether it exists or not.

        Args:
            design: Design id.
            training: Id of the training, if it is not that of the study.

        Returns:
            The same path until the checkpoint is dropped.
        """
        training = self.training if training is None else training
        rows = self._checkpoints(design, training)
        if rows:
            return self.files.path(rows[0])
        return self.files.path(self.files.record(self.study, design, training, CHECKPOINT, None))

    def renew_checkpoint(self, design: str, training: str | None = None) -> None:
        """Give up the file of an unfinished training for one of another name.

        One that cannot be deleted, since it may be unreadable, stays where it is.

        Args:
            design: Design id.
            training: Id of the training, if it is not that of the study.
        """
        training = self.training if training is None else training
        self.drop_checkpoint(design, training)
        self.files.record(self.study, design, training, CHECKPOINT, None)

    def drop_checkpoint(self, design: str, training: str | None = None) -> None:
        """Delete the file of an unfinished training; a damaged one is only left behind.

        Args:
            design: Design id.
            training: Id of the training, if it is not that of the study.
        """
        for row in self._checkpoints(design, self.training if training is None else training):
            self.files.dispose(row)

    def _checkpoints(self, design: str, training: str) -> Sequence[WeightFileRow]:
        return self.files.find(
            WeightFileRow.study == self.study,
            WeightFileRow.design == design,
            WeightFileRow.training == training,
            WeightFileRow.sha256.is_(None),
        )

    def _find(self, design: str) -> tuple[str, bytes] | None:
        """Find the study that keeps the weights of a design, its own first, and read them."""
        if not self.training:
            return None
        rows = self.files.find(
            WeightFileRow.design == design,
            WeightFileRow.training == self.training,
            WeightFileRow.sha256.is_not(None),
        )
        for row in sorted(rows, key=lambda row: row.study != self.study):
            content = self.files.read(row)
            if content is not None:
                return row.study, content
        return None

    def _write(self, design: str, content: bytes) -> None:
        older = self.files.find(
            WeightFileRow.study == self.study,
            WeightFileRow.design == design,
            WeightFileRow.sha256.is_not(None),
        )
        # Recorded first: a process that is killed here leaves no file that nobody knows.
        row = self.files.record(self.study, design, self.training, SAFETENSORS, content)
        path = self.files.path(row)
        try:
            make_folder(path.parent)
            write(path, content, replace=False)
        except OSError as error:
            raise WorkFailed(f"{path} cannot be written: {error}") from error
        for replaced in older:
            self.files.dispose(replaced)


def training_id(protocols: Mapping[str, str]) -> str:
    """Identify a training by the metrics that are read after it.

    Args:
        protocols: Protocol id of each of these metrics.

    Returns:
        Twelve hexadecimal digits; an empty string if there is no such metric.
    """
    return canonical_hash(dict(protocols)) if protocols else ""


def study_folder(storage: str, study: str) -> Path:
    """Give the folder of a study's files.

    Args:
        storage: Its database.
        study: Its name.

    Returns:
        Beside the database file; in `studies/` if the database is a server.
    """
    file = sqlite_file(parse_url(storage))
    return (file.parent if file else Path("studies")) / study
