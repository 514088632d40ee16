"""Settings: what of a space decides how a network is run while it is measured."""

from typing import Any

from dsx.measure.backends import versions
from dsx.space.yaml import Measure

HOW_LONG = {"target_width", "budget_seconds"}


def run_settings(measure: Measure) -> dict[str, Any]:
    """Give the settings that change what runs.

    Args:
        measure: The `measure` of a space.

    Returns:
        Plain JSON values, without those that say only how long latency is timed; with the
        versions of the backend's packages.

    Raises:
        DsxError: If there is no such backend, or a package is missing.
    """
    return {**measure.model_dump(exclude=HOW_LONG), "packages": versions(measure.backend)}
