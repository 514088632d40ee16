"""Lookup of stored measurements by the subject that was measured.

The subject of a timed metric is the deployed network, which several designs may share. The deployed
network of a design is determined by deploying it once, and is then stored in the database.
"""

from dataclasses import dataclass

from dsx.measure import Candidate, Measurement
from dsx.measure.metrics.deployed_flops import counted_deployment
from dsx.search.plan import Plan
from dsx.space import Design
from dsx.store.measurements import Deployment, MeasurementStore


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """The stored measurements of the designs of a plan.

    Args:
        measurements: Measurements of this device.
        plan: Metrics and their protocols.
    """

    measurements: MeasurementStore
    plan: Plan

    def timed(self, name: str) -> bool:
        """Check whether a metric is measured on the deployed network.

        Args:
            name: Name of the metric.
        """
        return self.plan.metrics[name].stage == "timed"

    def find(self, name: str, design: Design) -> Measurement | None:
        """Look up a metric of a design without building the design.

        Args:
            name: Name of the metric.
            design: The design.

        Returns:
            The newest reading; None if there is none, or if the metric is timed and the design was
            never deployed.
        """
        subject = self._subject(name, design)
        return (
            None
            if subject is None
            else self.measurements.find(subject, name, self._under(name, design))
        )

    def share(self, name: str, candidate: Candidate) -> Measurement | None:
        """Deploy a candidate and look up a timed metric of its deployed network.

        Args:
            name: Name of the metric.
            candidate: The candidate.

        Returns:
            The newest reading of the same deployed network, taken for any design, which from now
            on counts for this design too; None if there is none.
        """
        under = self.plan.protocols[name]
        known = self.measurements.find(candidate.deployed_id, name, under)
        if known is not None:
            self.measurements.add_deployment(
                candidate.design.id, under, self._deployment(name, candidate)
            )
        return known

    def add(self, name: str, candidate: Candidate, reading: Measurement) -> Measurement:
        """Store a measurement durably.

        Args:
            name: Name of the metric.
            candidate: The candidate that was measured.
            reading: The measurement.

        Returns:
            The measurement as it is stored.
        """
        design, timed = candidate.design, self.timed(name)
        deployment = self._deployment(name, candidate) if timed else None
        return self.measurements.add(
            design.id, name, self._under(name, design), reading, deployment
        )

    def _subject(self, name: str, design: Design) -> str | None:
        if not self.timed(name):
            return design.id
        return self.measurements.deployed(design.id, self.plan.protocol(name, design))

    def _under(self, name: str, design: Design) -> str:
        """Return the protocol of the readings, which for a timed metric includes no training."""
        return self.plan.protocols[name] if self.timed(name) else self.plan.protocol(name, design)

    def _deployment(self, name: str, candidate: Candidate) -> Deployment:
        return Deployment(
            subject=candidate.deployed_id,
            protocol=self.plan.protocol(name, candidate.design),
            facts=counted_deployment(candidate),
        )
