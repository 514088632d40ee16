"""Deployed params: parameters of the deployed network, including the zeros of dense forms.

They are counted like `params`: weights, biases, scales and entries of a binary basis, but not
running statistics and index tables. Unlike `params`, they include the zeros in the kernel of a
dense form, and the biases that result from folding.
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
    """Count the parameters of the deployed network of a candidate, without running it.

    Args:
        candidate: The candidate.

    Returns:
        The count.
    """
    deployed = candidate.deployed
    number = count_params(deployed.network, deployed.choices)
    return exact(number, Provenance(deployment=candidate.deployment))


def count_params(network: nn.Module, forms: Collection[str]) -> int:
    """Count the parameters of a deployed network.

    Args:
        network: The deployed network.
        forms: Names of the convolutions with a deployed form, which holds its weights in buffers.

    Returns:
        Number of elements of all parameters, and of the real and binary buffers of the forms.
    """
    in_forms = tuple(f"{name}." for name in forms)
    return sum(parameter.numel() for parameter in network.parameters()) + sum(
        buffer.numel()
        for name, buffer in network.named_buffers()
        if name.startswith(in_forms) and (buffer.is_floating_point() or buffer.dtype == torch.int8)
    )


def read_exported(files: Exported) -> dict[str, Measurement]:
    """Count the parameters of exported files.

    Args:
        files: Network that was loaded from exported files.

    Returns:
        The count by the name of the metric.
    """
    deployed = files.candidate.deployed
    return {"deployed_params": exact(count_params(deployed.network, deployed.choices))}


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """Return the run settings, on which the selection of deployed forms depends.

    Args:
        space: The space.

    Returns:
        Plain JSON values.
    """
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
