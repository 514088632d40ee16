"""Deployed params: numbers that the deployed network holds, the zeros of dense forms included.

Counted as `params` are: weights, biases, scales and entries of a binary basis. Those of a dense
form include its dead weights, and folding may have made a bias. Running statistics and index tables
count in neither.
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from dsx.analysis import Measurement, Provenance, exact
from dsx.measure.candidate import Candidate, Exported
from dsx.measure.metrics._base import Metric
from dsx.measure.run_settings import run_settings
from dsx.space import SearchSpace

PROTOCOL = {"version": 1}


def read(candidate: Candidate) -> Measurement:
    """Count the numbers in the deployed network; it is not run for this."""
    deployed = candidate.deployed
    number = count_params(deployed.network, deployed.choices)
    return exact(number, Provenance(deployment=candidate.deployment))


def count_params(network: nn.Module, forms: Collection[str]) -> int:
    """Count the numbers that a deployed network computes with.

    Args:
        network: The deployed network.
        forms: Names of its convolutions that have a deployed form, which keep their numbers in
            buffers.

    Returns:
        Real numbers of parameters, and real numbers and basis entries in buffers of forms.
    """
    in_forms = tuple(f"{name}." for name in forms)
    return sum(parameter.numel() for parameter in network.parameters()) + sum(
        buffer.numel()
        for name, buffer in network.named_buffers()
        if name.startswith(in_forms) and (buffer.is_floating_point() or buffer.dtype == torch.int8)
    )


def read_exported(files: Exported) -> dict[str, Measurement]:
    """Count the numbers in the network that the files run."""
    deployed = files.candidate.deployed
    return {"deployed_params": exact(count_params(deployed.network, deployed.choices))}


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """Return the settings of a run, on which the choice of the forms depends."""
    return {**PROTOCOL, **run_settings(space.file.measure)}


METRIC = Metric(
    unit="",
    direction="minimize",
    stage="timed",
    noise="exact",
    read=read,
    protocol=protocol,
    read_exported=read_exported,
)
