"""Recall: numbers of designs, looked up and stored under what they are numbers of.

A timed metric is measured on the deployed network, which several designs may share. Which network a
design runs as is determined by deploying it once, and is then stored in the database.
"""

from dataclasses import dataclass

from dsx.measure import Candidate, Measurement
from dsx.measure.metrics.deployed_flops import counted_deployment
from dsx.search.plan import Plan
from dsx.space import Design
from dsx.store.measurements import Deployment, MeasurementStore


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Readings of the designs of a plan.

    Args:
        memory: The measurements of this device.
        plan: The metrics and their protocols.
    """

    measurements: MeasurementStore
    plan: Plan

    def timed(self, name: str) -> bool:
        """Check whether a metric is measured on the deployed network."""
        return self.plan.metrics[name].stage == "timed"

    def find(self, name: str, design: Design) -> Measurement | None:
        """Look up a number without building the design.

        Args:
            name: Name of the metric.
            design: The design.

        Returns:
            The newest reading. None also for a timed metric of a design that was never deployed.
        """
        subject = self._subject(name, design)
        return (
            None
            if subject is None
            else self.measurements.find(subject, name, self._under(name, design))
        )

    def share(self, name: str, candidate: Candidate) -> Measurement | None:
        """Look up a timed metric of a design by deploying it.

        Args:
            name: Name of the metric.
            candidate: The design; it is deployed for this.

        Returns:
            The newest reading of the same deployed network, whichever design it was taken for;
            from now on it counts for this design too.
        """
        under = self.plan.protocols[name]
        known = self.measurements.find(candidate.deployed_id, name, under)
        if known is not None:
            self.measurements.add_deployment(
                candidate.design.id, under, self._deployment(name, candidate)
            )
        return known

    def add(self, name: str, candidate: Candidate, reading: Measurement) -> Measurement:
        """Store a measurement; it is on disk when this returns.

        Args:
            name: Name of the metric.
            candidate: The design that was measured.
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
        """Return the protocol of the readings; a training is no part of that of a timed metric."""
        return self.plan.protocols[name] if self.timed(name) else self.plan.protocol(name, design)

    def _deployment(self, name: str, candidate: Candidate) -> Deployment:
        return Deployment(
            subject=candidate.deployed_id,
            protocol=self.plan.protocol(name, candidate.design),
            facts=counted_deployment(candidate),
        )
