"""Deployed flops: multiply-adds of the deployed network, products with stored zeros included.

Counted as `flops` are, for one image, but by following the operators that run: a dense form
multiplies the dead weights of its kernel too.
"""

import weakref
from dataclasses import replace

from torch import nn

from dsx.analysis import DeploymentFacts, Measurement, OperatorCount, Provenance, exact
from dsx.errors import NotCounted, WorkFailed
from dsx.measure.candidate import Candidate, Exported
from dsx.measure.metrics._base import Metric
from dsx.measure.metrics.deployed_params import count_params, protocol
from dsx.measure.metrics.flops import Followed, count, follow

# Following a network takes a good part of a second, and several metrics ask for the result.
_FOLLOWED: "weakref.WeakKeyDictionary[nn.Module, Followed]" = weakref.WeakKeyDictionary()


def read(candidate: Candidate) -> Measurement:
    """Follow the operators of the deployed network, and name those that are not counted.

    Raises:
        NotCounted: If the network cannot be followed.
    """
    try:
        found = _follow(candidate)
    except WorkFailed as error:
        raise NotCounted(str(error)) from error
    operators = OperatorCount(unknown_operators=dict(found.unknown)) if found.unknown else None
    provenance = Provenance(deployment=candidate.deployment, operators=operators)
    return exact(found.counted, provenance)


def read_exported(files: Exported) -> dict[str, Measurement]:
    """Count by following the operators of the network that the files run.

    Raises:
        WorkFailed: If an operator is not known to the counter.
    """
    return {"deployed_flops": exact(count(files.network, files.candidate.sample[:1]))}


def _follow(candidate: Candidate) -> Followed:
    network = candidate.deployed.network
    if network not in _FOLLOWED:
        _FOLLOWED[network] = follow(network, candidate.sample[:1])
    return _FOLLOWED[network]


def counted_deployment(candidate: Candidate) -> DeploymentFacts:
    """Describe the deployed network of a candidate, and count what it holds and computes.

    Args:
        candidate: The candidate; it is deployed for this.

    Returns:
        The facts of the deployed network, with its params, and with its flops or the reason why
        they are not known.
    """
    deployed = candidate.deployed
    params = count_params(deployed.network, deployed.choices)
    found = replace(candidate.deployment, deployed_params=params)
    try:
        return replace(found, deployed_flops=_follow(candidate).counted)
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
