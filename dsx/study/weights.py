"""Weights: the trained weights of the baseline, the front and the running design, as files."""

import os
import shutil
from collections.abc import Set
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dsx.study.database import parse_url, sqlite_file


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

    def save(self, design: str, network: nn.Module) -> None:
        """Write a trained network's weights; the file appears whole or not at all.

        Args:
            design: Design id.
            network: The trained network.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.path(design).with_suffix(f".{os.getpid()}.part")
        state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        save_file(state, partial, metadata={"design": design, "protocol": self.protocol})
        partial.replace(self.path(design))

    def load(self, design: str) -> dict[str, Tensor] | None:
        """Read the weights of a design, from this study or from one beside it.

        Args:
            design: Design id.

        Returns:
            The state dict; None if no study here keeps weights that were trained like this.
        """
        found = self._find(design)
        return load_file(found) if found else None

    def adopt(self, design: str) -> None:
        """Copy the weights of a design from a study beside this one, if one has them."""
        found = self._find(design)
        if found and found != self.path(design):
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, self.path(design))

    def keep_only(self, designs: Set[str]) -> None:
        """Drop the files of all other designs.

        Args:
            designs: Design ids whose weights stay.
        """
        for file in self.folder.glob("*"):
            if file.stem.partition(".")[0] not in designs:
                file.unlink()

    def _find(self, design: str) -> Path | None:
        for file in [self.path(design), *self.root.glob(f"*/weights/{design}.safetensors")]:
            if file.exists():
                with safe_open(file, framework="pt") as opened:
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
