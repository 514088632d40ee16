"""Files of trained weights and checkpoints, which are recorded before they are written.

dsx deletes a file only if this database has recorded it and its content is unchanged, so that files
of users and of other databases in the same folder are safe.
"""

import hashlib
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import ColumnElement, Engine, delete, select
from sqlalchemy.orm import Session

from dsx.files import open_regular, remove_abandoned
from dsx.store.database.schema import WeightFileRow
from dsx.train import is_checkpoint

_LOG = logging.getLogger(__name__)


class WeightFiles:
    """The recorded files of the studies of one database.

    Args:
        engine: Engine of the database.
        root: Folder that contains the folders of all studies.
    """

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine, self.root = engine, root
        self._reported: set[Path] = set()

    def path(self, row: WeightFileRow) -> Path:
        """Return the path of a recorded file, which need not exist.

        Args:
            row: Row of the file.
        """
        # Only the last components, so that no record refers to a file outside the folder.
        return self.root / Path(row.study).name / "weights" / Path(row.file).name

    def find(self, *conditions: ColumnElement[bool]) -> Sequence[WeightFileRow]:
        """Find recorded files.

        Args:
            conditions: Conditions on the columns of `WeightFileRow`.

        Returns:
            The rows, newest first.
        """
        query = select(WeightFileRow).where(*conditions).order_by(WeightFileRow.id.desc())
        with Session(self.engine) as session:
            return session.scalars(query).all()

    def record(
        self, study: str, design: str, training: str, suffix: str, content: bytes | None
    ) -> WeightFileRow:
        """Record a file that is about to be written, under a new name.

        Args:
            study: Name of the study.
            design: Design id.
            training: Id of the training.
            suffix: Suffix of the file name.
            content: Content of the file; None for a checkpoint.

        Returns:
            The row.
        """
        row = WeightFileRow(
            study=study,
            design=design,
            training=training,
            file=f"{design}.{secrets.token_hex(4)}{suffix}",
            size=None if content is None else len(content),
            sha256=None if content is None else hashlib.sha256(content).hexdigest(),
        )
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            session.add(row)
        return row

    def read(self, row: WeightFileRow) -> bytes | None:
        """Read a recorded file of weights.

        Args:
            row: Row of the file.

        Returns:
            The content; None if the file is missing, or if it is damaged, which is logged.
        """
        path = self.path(row)
        try:
            with open_regular(path) as file:
                content = file.read((row.size or 0) + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._report(path, f"cannot be read and is ignored: {error.strerror}")
            return None
        if hashlib.sha256(content).hexdigest() != row.sha256:
            self._report(path, "is damaged (not as dsx wrote it) and is ignored")
            return None
        return content

    def dispose(self, row: WeightFileRow) -> None:
        """Delete a recorded file and its record.

        A file whose content has changed is not deleted. A file that cannot be checked or deleted
        remains recorded.

        Args:
            row: Row of the file.
        """
        path = self.path(row)
        try:
            # The file may never have been written, or the user may have deleted it.
            with suppress(FileNotFoundError):
                remove_abandoned(path)
                if self._is_unchanged(row):
                    path.unlink()
        except OSError as error:
            self._report(path, f"cannot be deleted: {error.strerror}")
            return
        self._delete_record(row)

    def _delete_record(self, row: WeightFileRow) -> None:
        with Session(self.engine) as session, session.begin():
            session.execute(delete(WeightFileRow).where(WeightFileRow.id == row.id))

    def _is_unchanged(self, row: WeightFileRow) -> bool:
        path = self.path(row)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            return False
        if row.sha256 is None:
            return is_checkpoint(path)
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == row.sha256

    def _report(self, path: Path, problem: str) -> None:
        """Log a problem of a file once."""
        if path not in self._reported:
            self._reported.add(path)
            _LOG.warning("%s %s", path, problem)
