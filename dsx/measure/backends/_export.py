"""Export of networks to backends that do not run Python, without output to stdout or stderr."""

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
    """Networks with the same input, which return a tuple of their outputs."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run all networks."""
        return tuple(network(x) for network in self.networks)


def exported(networks: Sequence[nn.Module], sample: Tensor) -> ExportedProgram:
    """Export networks as one program, because each program has a large constant overhead.

    Args:
        networks: Networks in eval mode.
        sample: Input of the networks; the program is specialised to its shape and dtype.

    Returns:
        The program, with one output for each network.
    """
    # Tensors that were created in inference mode cannot be exported.
    with torch.inference_mode(False), torch.no_grad():
        return torch.export.export(_Together(networks).eval(), (sample.clone(),))


@contextmanager
def preparing(backend: str) -> Iterator[None]:
    """Suppress the output of exporters, and raise their errors in one line.

    Args:
        backend: Name of the backend.

    Raises:
        TrialFailed: If the exporter raises any error.
    """
    before = logging.root.manager.disable
    # OpenVINO sets these, and does not restore them if it fails.
    level, filters, handlers = logging.root.level, [*logging.root.filters], [*logging.root.handlers]
    logging.disable(logging.WARNING)
    try:
        # The warnings of exporters concern their authors and optional packages. The compiler of
        # torch sets environment variables for its own use.
        with warnings.catch_warnings(), restored_environment():
            warnings.simplefilter("ignore")
            yield
    # Exporters raise errors of any type.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        raise TrialFailed(f"{backend} does not support this network: {_reason(error)}") from error
    finally:
        logging.disable(before)
        logging.root.setLevel(level)
        logging.root.filters, logging.root.handlers = filters, handlers


def _reason(error: BaseException) -> str:
    """Return the first and last line of the original error, shortened."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    ends = dict.fromkeys([*lines[:1], *lines[-1:]])
    return " ... ".join([type(error).__name__, *(line[:LONGEST] for line in ends)])
