"""Weights: files with the trained weights of the baseline, the front and the current design."""

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
        engine: Engine of the database.
        storage: SQLAlchemy URL of the database, which determines the folder of the files (see
            `study_folder`).
        study: Name of the study.
        training: Id of the training (see `training_id`), which distinguishes these weights from
            those of other trainings; empty if no metric of the study requires a training.
    """

    def __init__(self, engine: Engine, storage: str, study: str, training: str) -> None:
        self.engine, self.study, self.training = engine, study, training
        self.files = WeightFiles(engine, study_folder(storage, study).parent)
        # Processes that share a server may run in different folders.
        self._scattered = sqlite_file(parse_url(storage)) is None

    def check_folder(self) -> None:
        """Check before a training that the folder of the files exists or can be created.

        Raises:
            StorageError: If there is a file at the path of the folder.
        """
        folder = self.files.root / self.study
        for path in (folder, folder / "weights"):
            if self.training and path.exists() and not path.is_dir():
                raise StorageError(
                    f"'{path}' must be a folder for trained weights, but is a file (move the file, "
                    f"or choose another name: {parameter('study', 'NAME')})"
                )

    def save(self, design: str, network: nn.Module) -> None:
        """Write the weights of a trained network to a file, atomically.

        Args:
            design: Design id.
            network: The trained network.

        Raises:
            WorkFailed: If the weights cannot be written.
        """
        # Cloned, since safetensors does not accept one tensor under two names.
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
        """Load the weights of a design from this study or another study of the database.

        Args:
            design: Design id.

        Returns:
            The state dict; None if no study has undamaged weights of this training.
        """
        found = self._find(design)
        return None if found is None else load(found[1])

    def adopt(self, design: str) -> None:
        """Copy the weights of a design from another study of the database, if it has them.

        Args:
            design: Design id.

        Raises:
            WorkFailed: If the weights cannot be written.
        """
        found = self._find(design)
        if found is not None and found[0] != self.study:
            self._write(design, found[1])

    def prune(self, designs: Set[str]) -> None:
        """Delete the files of all other designs and of other trainings.

        Args:
            designs: Ids of the designs whose weights are kept.
        """
        for row in self.files.find(WeightFileRow.study == self.study):
            if row.design in designs and row.training == self.training:
                continue
            if self._scattered and not self.files.path(row).exists():
                continue
            self.files.dispose(row)

    def checkpoint(self, design: str, training: str | None = None) -> Path:
        """Return the checkpoint file of a training, which need not exist.

        Args:
            design: Design id.
            training: Id of the training; None for the training of the study.

        Returns:
            The path, which stays the same until the checkpoint is dropped.
        """
        training = self.training if training is None else training
        rows = self._checkpoints(design, training)
        if rows:
            return self.files.path(rows[0])
        return self.files.path(self.files.record(self.study, design, training, CHECKPOINT, None))

    def known_checkpoint(self, design: str) -> Path | None:
        """Return the checkpoint file of the training of the study, if there may be one.

        Args:
            design: Design id.

        Returns:
            The path; None if no checkpoint was recorded.
        """
        rows = self._checkpoints(design, self.training)
        return self.files.path(rows[0]) if rows else None

    def renew_checkpoint(self, design: str, training: str | None = None) -> None:
        """Replace the checkpoint file of a training by a new file with another name.

        The old file is deleted, unless it is unreadable.

        Args:
            design: Design id.
            training: Id of the training; None for the training of the study.
        """
        training = self.training if training is None else training
        self.drop_checkpoint(design, training)
        self.files.record(self.study, design, training, CHECKPOINT, None)

    def drop_checkpoint(self, design: str, training: str | None = None) -> None:
        """Delete the checkpoint file of a training; a damaged file is not deleted.

        Args:
            design: Design id.
            training: Id of the training; None for the training of the study.
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
        """Find weights of a design, in this study first; return the study and the content."""
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
        # Recorded first, so that a killed process leaves no unrecorded file.
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
    """Return the id of a training, derived from the protocols of the trained metrics.

    Args:
        protocols: Protocol id by trained metric.

    Returns:
        Twelve hexadecimal digits; an empty string if there are no trained metrics.
    """
    return canonical_hash(dict(protocols)) if protocols else ""


def study_folder(storage: str, study: str) -> Path:
    """Return the folder of the files of a study.

    Args:
        storage: SQLAlchemy URL of the database.
        study: Name of the study.

    Returns:
        A folder next to a database file; a folder in `studies/` for a server.
    """
    file = sqlite_file(parse_url(storage))
    return (file.parent if file else Path("studies")) / study
