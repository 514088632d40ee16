"""Deployed FLOPs: multiply-adds of the deployed network for one image, including stored zeros.

They are counted like `flops`, but by tracing the operators that run. Unlike `flops`, they include
the products of a dense form with the zeros of its kernel.
"""

import weakref
from dataclasses import replace

from torch import nn

from dsx.analysis import DeploymentFacts, Measurement, OperatorCount, Provenance, exact
from dsx.errors import NotCounted, WorkFailed
from dsx.measure.candidate import Candidate, Exported
from dsx.measure.metrics._base import Metric
from dsx.measure.metrics.deployed_params import count_params, protocol
from dsx.measure.metrics.flops import OperatorCounts, count, count_operators

# Tracing a network takes almost a second, and several metrics need the result.
_COUNTS: "weakref.WeakKeyDictionary[nn.Module, OperatorCounts]" = weakref.WeakKeyDictionary()


def read(candidate: Candidate) -> Measurement:
    """Count the multiply-adds of the deployed network of a candidate.

    Args:
        candidate: The candidate.

    Returns:
        The count; its provenance names the operators that are not counted.

    Raises:
        NotCounted: If the network cannot be traced.
    """
    try:
        found = _counts(candidate)
    except WorkFailed as error:
        raise NotCounted(str(error)) from error
    operators = OperatorCount(unknown_operators=dict(found.unknown)) if found.unknown else None
    provenance = Provenance(deployment=candidate.deployment, operators=operators)
    return exact(found.counted, provenance)


def read_exported(files: Exported) -> dict[str, Measurement]:
    """Count the multiply-adds of exported files.

    Args:
        files: Network that was loaded from exported files.

    Returns:
        The count by the name of the metric.

    Raises:
        WorkFailed: If the network has an unknown operator or cannot be traced.
    """
    return {"deployed_flops": exact(count(files.network, files.candidate.sample[:1]))}


def _counts(candidate: Candidate) -> OperatorCounts:
    network = candidate.deployed.network
    if network not in _COUNTS:
        _COUNTS[network] = count_operators(network, candidate.sample[:1])
    return _COUNTS[network]


def counted_deployment(candidate: Candidate) -> DeploymentFacts:
    """Describe the deployed network of a candidate, including its params and FLOPs.

    Args:
        candidate: The candidate; it is deployed if necessary.

    Returns:
        The facts of the deployed network with its params, and its FLOPs or the reason why these
        cannot be counted.
    """
    deployed = candidate.deployed
    params = count_params(deployed.network, deployed.choices)
    found = replace(candidate.deployment, deployed_params=params)
    try:
        return replace(found, deployed_flops=_counts(candidate).counted)
    except WorkFailed as error:
        return replace(found, deployed_flops_not_counted=str(error))


METRIC = Metric(
    unit="multiply-adds",
    direction="minimize",
    stage="timed",
    noise="exact",
    read=read,
    protocol=protocol,
    read_exported=read_exported,
)
