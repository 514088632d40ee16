"""Access to parts of the provenance of a measurement, which must exist."""

from dsx.analysis.measurement import (
    DeploymentFacts,
    Energy,
    Machine,
    Measurement,
    OperatorCount,
    PeakMemory,
    Provenance,
    Timing,
)


def timing(of: Measurement) -> Timing:
    assert of.provenance.timing is not None
    return of.provenance.timing


def machine(of: Measurement) -> Machine:
    assert of.provenance.machine is not None
    return of.provenance.machine


def deployment(of: Measurement) -> DeploymentFacts:
    return deployed(of.provenance)


def deployed(provenance: Provenance) -> DeploymentFacts:
    assert provenance.deployment is not None
    return provenance.deployment


def energy(of: Measurement) -> Energy:
    assert of.provenance.energy is not None
    return of.provenance.energy


def memory(of: Measurement) -> PeakMemory:
    assert of.provenance.memory is not None
    return of.provenance.memory


def operators(of: Measurement) -> OperatorCount:
    assert of.provenance.operators is not None
    return of.provenance.operators
