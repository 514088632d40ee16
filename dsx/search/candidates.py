"""Candidates that share the form cache and the reference times of a device."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from dsx.conv.deploy import Choice
from dsx.measure import Candidate
from dsx.space import Design, SearchSpace
from dsx.store.measurements import Calibration, FormCache, MeasurementStore


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Builds candidates for measurement.

    Args:
        forms: Deployed forms by situation; newly selected ones are stored in the database.
        references: Reference times of the sentinel by situation, in milliseconds; likewise.
        waiting: Called if the device is not free at once.
    """

    forms: MutableMapping[str, Choice]
    reference_times: MutableMapping[str, float]
    waiting: Callable[[], None] | None = None

    @classmethod
    def of(
        cls, measurements: MeasurementStore, waiting: Callable[[], None] | None = None
    ) -> "Candidates":
        """Load what the database holds for a device.

        Args:
            memory: Memory of the device.
            waiting: Called if the device is not free at once.

        Returns:
            The builder.
        """
        return cls(
            forms=FormCache(measurements.engine, measurements.device, measurements),
            reference_times=Calibration(measurements.engine, measurements.device, measurements),
            waiting=waiting,
        )

    def build(
        self, space: SearchSpace, design: Design, checkpoint: Path | None = None
    ) -> Candidate:
        """Build the candidate of a design.

        Args:
            space: The space, which specifies how the design is measured.
            design: A design of its network.
            checkpoint: File to resume the training from and to write it to.

        Returns:
            The candidate.
        """
        return Candidate(
            space,
            design,
            self.forms,
            checkpoint=checkpoint,
            reference_times=self.reference_times,
            waiting=self.waiting,
        )
