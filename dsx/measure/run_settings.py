"""Settings of a space that determine how a network is run while it is measured."""

from typing import Any

from dsx.measure.backends import versions
from dsx.space.yaml import Measure

DURATION = {"target_width", "budget_seconds"}
"""Settings that only determine how long a latency is measured."""


def run_settings(measure: Measure) -> dict[str, Any]:
    """Return the settings that determine how a network is run.

    Args:
        measure: The `measure` section of a space.

    Returns:
        Settings as plain JSON values, including the versions of the backend's packages and
        excluding the duration of a latency measurement.

    Raises:
        DsxError: If there is no such backend, or one of its packages is missing.
    """
    return {**measure.model_dump(exclude=DURATION), "packages": versions(measure.backend)}
