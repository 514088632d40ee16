"""Weights: the trained weights of the baseline, the front and the running design, as files."""

from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dsx.errors import WorkFailed
from dsx.study.database import parse_url, sqlite_file

PARTIAL, CHECKPOINT = ".part", ".training"


class Weights:
    """The weight files of one study.

    Args:
        storage: The study's database; files lie beside it, or in `studies/` for a server.
        study: Name of the study.
        protocol: Of the training, so that weights trained otherwise are never mistaken for these.
    """

    def __init__(self, storage: str, study: str, protocol: str) -> None:
        self.root = study_folder(storage, study).parent
        self.folder = study_folder(storage, study) / "weights"
        self.protocol = protocol

    def path(self, design: str) -> Path:
        """Give the file of a design, whether it exists or not."""
        return self.folder / f"{design}.safetensors"

    def checkpoint(self, design: str) -> Path:
        """Give the file of a training on its way, whether it exists or not."""
        return self.folder / f"{design}{CHECKPOINT}"

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
            for name, tensor in network.state_dict().items()
        }
        with self._appearing(design) as partial:
            # Not save_file, whose files only their owner can read.
            partial.write_bytes(save(state, {"design": design, "protocol": self.protocol}))

    def load(self, design: str) -> dict[str, Tensor] | None:
        """Read the weights of a design, from this study or from one beside it.

        Args:
            design: Design id.

        Returns:
            The state dict; None if no study here keeps weights that were trained like this.
        """
        found = self._find(design)
        try:
            return load_file(found) if found else None
        except FileNotFoundError:
            # Its study has just found a better design.
            return None

    def adopt(self, design: str) -> None:
        """Copy the weights of a design from a study beside this one, if one has them.

        Args:
            design: Design id.

        Raises:
            WorkFailed: If they cannot be written.
        """
        found = self._find(design)
        if found is None or found == self.path(design):
            return
        try:
            content = found.read_bytes()
        except FileNotFoundError:
            # Its study has just found a better design.
            return
        with self._appearing(design) as partial:
            partial.write_bytes(content)

    def keep_only(self, designs: Set[str]) -> None:
        """Drop the files of all other designs.

        Args:
            designs: Design ids whose weights stay.
        """
        for file in self.folder.glob("*"):
            if file.suffix == PARTIAL or file.stem not in designs:
                file.unlink()

    @contextmanager
    def _appearing(self, design: str) -> Iterator[Path]:
        partial = self.path(design).with_suffix(PARTIAL)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(self.path(design))
        except (OSError, SafetensorError) as error:
            raise WorkFailed(f"{self.path(design)} cannot be written: {error}") from error

    def _find(self, design: str) -> Path | None:
        for file in [self.path(design), *self.root.glob(f"*/weights/{design}.safetensors")]:
            # Not `if file.exists()`: a study beside this one may drop it any moment.
            with suppress(FileNotFoundError), safe_open(file, framework="pt") as opened:
                if (opened.metadata() or {}).get("protocol") == self.protocol:
                    return file
        return None


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
