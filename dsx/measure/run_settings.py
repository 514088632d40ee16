"""Settings of a space that determine how a network is run while it is measured."""

from typing import Any

import torch

from dsx.conv import native
from dsx.measure.backends import resolved, versions
from dsx.space.yaml import Measure

DURATION = {"target_width", "budget_seconds"}
"""Settings that only determine how long a latency is measured."""


def run_settings(measure: Measure) -> dict[str, Any]:
    """Return the settings that determine how a network is run.

    Args:
        measure: The `measure` section of a space.

    Returns:
        Settings as plain JSON values, including the versions of the backend's packages and of the
        native kernels, and excluding the duration of a latency measurement.

    Raises:
        DsxError: If there is no such backend, or one of its packages is missing.
    """
    measure = resolved(measure)
    return {**measure.model_dump(exclude=DURATION), "packages": _packages(measure)}


def _packages(measure: Measure) -> dict[str, str]:
    packages = versions(measure.backend)
    if measure.deploy == "native":
        # A newer version of the kernels may be faster.
        packages |= native.versions(getattr(torch, measure.dtype), torch.device(measure.device))
    return packages
