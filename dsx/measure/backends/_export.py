"""Export networks for backends that do not run Python, without a word on stdout or stderr."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from dsx.errors import TrialFailed, raise_out_of_memory
from dsx.process import restored_environment

LONGEST = 200


class _Together(nn.Module):
    """Networks of one input, and their outputs in turn."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(network(x) for network in self.networks)


def exported(networks: Sequence[nn.Module], sample: Tensor) -> ExportedProgram:
    """Export networks as one program, since most of the time goes by the number of programs.

    Args:
        networks: In eval mode.
        sample: Their input; the program takes just such.

    Returns:
        The program; it has one output for each network.
    """
    # Weights of inference mode cannot be exported.
    with torch.inference_mode(False), torch.no_grad():
        return torch.export.export(_Together(networks).eval(), (sample.clone(),))


@contextmanager
def preparing(backend: str) -> Iterator[None]:
    """Keep exporters quiet, and say in one line what a backend cannot take.

    Args:
        backend: Its name.

    Raises:
        TrialFailed: For any error of the exporter.
    """
    before = logging.root.manager.disable
    # OpenVINO sets these, and does not restore them if it fails.
    level, filters, handlers = logging.root.level, [*logging.root.filters], [*logging.root.handlers]
    logging.disable(logging.WARNING)
    try:
        # Exporters warn of what concerns their authors, and of packages that they can do without.
        # The compiler of torch hands paths and addresses to itself in the environment.
        with warnings.catch_warnings(), restored_environment():
            warnings.simplefilter("ignore")
            yield
    # They raise whatever they please, of no common kind.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        raise TrialFailed(f"{backend} cannot take this network: {_reason(error)}") from error
    finally:
        logging.disable(before)
        logging.root.setLevel(level)
        logging.root.filters, logging.root.handlers = filters, handlers


def _reason(error: BaseException) -> str:
    """Give what was wrong in the first place: the first line of it and the last, cut short."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    ends = dict.fromkeys([*lines[:1], *lines[-1:]])
    return " ... ".join([type(error).__name__, *(line[:LONGEST] for line in ends)])
