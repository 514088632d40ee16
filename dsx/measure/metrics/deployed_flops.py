"""Deployed flops: multiply-adds of the deployed network, products with stored zeros included.

Counted as `flops` are, for one image, but by following the operators that run: a dense form
multiplies the dead weights of its kernel too.
"""

import weakref
from typing import Any

from torch import nn

from dsx.analysis import Reading, exact
from dsx.errors import NotCounted, WorkFailed
from dsx.measure.candidate import Candidate, Exported
from dsx.measure.metrics._base import Metric
from dsx.measure.metrics.deployed_params import count_params, protocol
from dsx.measure.metrics.flops import Followed, count, follow

# Following a network takes a good part of a second, and several metrics ask for the result.
_FOLLOWED: "weakref.WeakKeyDictionary[nn.Module, Followed]" = weakref.WeakKeyDictionary()


def read(candidate: Candidate) -> Reading:
    """Follow the operators of the deployed network, and name those that are not counted.

    Raises:
        NotCounted: If the network cannot be followed.
    """
    try:
        found = _follow(candidate)
    except WorkFailed as error:
        raise NotCounted(str(error)) from error
    unknown = {"unknown_operators": dict(found.unknown)} if found.unknown else {}
    return Reading(
        value=found.counted,
        low=found.counted,
        high=found.counted,
        conditions={**candidate.deployment, **unknown},
    )


def read_exported(files: Exported) -> dict[str, Reading]:
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


def deployed_counts(candidate: Candidate) -> dict[str, Any]:
    """Count what the deployed network of a candidate holds and computes.

    Args:
        candidate: The candidate; it is deployed for this.

    Returns:
        `deployed_params` and `deployed_flops`, or the reason why the latter are not known as
        `deployed_flops_not_counted`.
    """
    deployed = candidate.deployed
    found: dict[str, Any] = {"deployed_params": count_params(deployed.network, deployed.choices)}
    try:
        found["deployed_flops"] = _follow(candidate).counted
    except WorkFailed as error:
        found["deployed_flops_not_counted"] = str(error)
    return found


METRIC = Metric(
    unit="multiply-adds",
    direction="minimize",
    stage="timed",
    noise="exact",
    read=read,
    protocol=protocol,
    read_exported=read_exported,
)
