"""Measurements: one measured value each, with its confidence interval and its provenance."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter

from dsx.analysis.examples import ExampleResults
from dsx.plain import plain_fields


@dataclass(frozen=True, kw_only=True)
class Record:
    """A part of a provenance: typed fields that are stored as plain JSON values."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False
    )

    def __post_init__(self) -> None:
        plain_fields(self)


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, kw_only=True)
class Timing(Record):
    """The facts of a timing; all times are for one forward pass unless stated otherwise.

    Args:
        clock: Name of the clock: CPU time of the thread, wall time, or GPU time.
        raw_ms: Median of the blocks in milliseconds, before drift correction.
        wall_ms: Median of the blocks in milliseconds by the wall clock.
        reference_ms: Milliseconds of the reference workload on an otherwise idle machine.
        reference_sample_ms: Median of the reference samples of this timing in milliseconds.
        drift: Ratio of the median of the reference samples to the reference time.
        corrected: Whether the value is corrected for drift.
        blocks: Number of timed blocks.
        calls: Number of forward passes in all blocks.
        own_seconds: Duration in seconds of the blocks of the network.
        seconds: Duration in seconds of the whole timing of the network.
    """

    clock: str
    raw_ms: float
    wall_ms: float
    reference_ms: float
    reference_sample_ms: float
    drift: float
    corrected: bool
    blocks: int
    calls: int
    own_seconds: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Process(Record):
    """Another process that loaded the machine.

    Args:
        process: Name of the process.
        pid: Id of the process.
        cores: Number of cores that it used.
    """

    process: str
    pid: int
    cores: float


@dataclass(frozen=True, kw_only=True)
class Machine(Record):
    """The load and the throttling of the machine during a measurement.

    Args:
        load_average: Load average of the last minute; None if the system has none.
        others: Number of cores that other processes used; None if unknown.
        stolen: Number of cores that other virtual machines used; None if unknown.
        heavy: Processes that used the most, if the measurement is noisy.
        throttled: Whether the processor was throttled; None if unknown.
        throttled_by: Reasons of the throttling.
    """

    load_average: float | None = None
    others: float | None = None
    stolen: float | None = None
    heavy: tuple[Process, ...] = ()
    throttled: bool | None = None
    throttled_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeploymentFacts(Record):
    """The facts of a deployed network.

    Args:
        forms: Name of a convolution to its deployed form.
        selected_ms: Name of a convolution to the time of that form in milliseconds, where several
            forms were timed.
        dense_ms: Name of a convolution to the time of its dense form in milliseconds, likewise.
        folded_norms: Number of batch norms that are folded into convolutions.
        unfolded_norms: Number of batch norms that the deployed network still computes.
        untraced: Reason why torch.fx cannot trace the network; None if it can.
        kernels: Versions of the native kernels that the network calls, with the instruction set on
            a CPU; None if it calls none.
        deployed_params: Number of values that the network holds; None if they were not counted.
        deployed_flops: Multiply-adds of the network; None if they were not counted.
        deployed_flops_not_counted: Reason why the multiply-adds cannot be counted; None if they
            can.
    """

    forms: Mapping[str, str] = field(default_factory=dict)
    selected_ms: Mapping[str, float] = field(default_factory=dict)
    dense_ms: Mapping[str, float] = field(default_factory=dict)
    folded_norms: int = 0
    unfolded_norms: int = 0
    untraced: str | None = None
    kernels: str | None = None
    deployed_params: int | None = None
    deployed_flops: int | None = None
    deployed_flops_not_counted: str | None = None


@dataclass(frozen=True, kw_only=True)
class OperatorCount(Record):
    """The result of counting a network by its operators.

    Args:
        counted_by_operator: Multiply-adds of all operators; None if they were not counted.
        unknown_operators: Operators that the value leaves out: name to number of calls.
        unknown_to_check: Operators that this count leaves out: name to number of calls.
        not_counted_by_operator: Reason why the operators cannot be counted; None if they can.
    """

    counted_by_operator: int | None = None
    unknown_operators: Mapping[str, int] = field(default_factory=dict)
    unknown_to_check: Mapping[str, int] = field(default_factory=dict)
    not_counted_by_operator: str | None = None

    @property
    def checked(self) -> bool:
        """Whether an attempt was made to check a value by this count."""
        return self.counted_by_operator is not None or self.not_counted_by_operator is not None


@dataclass(frozen=True, kw_only=True)
class Predictions(Record):
    """The facts of the predictions that a value was computed from.

    Args:
        chance: Value that constant predictions reach.
        better_than_chance: Whether better values are above or below `chance`.
        images: Number of images; None if unknown.
        predicted_classes: Number of different predicted classes; None if unknown.
        losses: Loss after each epoch of the training; None without a training.
    """

    chance: float
    better_than_chance: Literal["above", "below"] = "above"
    images: int | None = None
    predicted_classes: int | None = None
    losses: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Energy(Record):
    """The facts of an energy measurement.

    Args:
        meter: Name of the energy counter.
        idle_watts: Power before the measurement, while the network did not run.
        watts: Power during the measurement.
        calls: Number of forward passes.
    """

    meter: str
    idle_watts: float
    watts: float
    calls: int


@dataclass(frozen=True, kw_only=True)
class PeakMemory(Record):
    """The facts of a measurement of memory.

    Args:
        bytes: Peak number of allocated bytes, including the input.
        input_bytes: Number of bytes of the input.
    """

    bytes: int
    input_bytes: int


@dataclass(frozen=True, kw_only=True)
class Provenance(Record):
    """The record of how a value was obtained; each part is None if it does not apply.

    Args:
        converged: Whether the confidence interval reached its target width within the time budget.
        noisy: Whether other processes loaded the machine; None if the measurement was too short to
            tell.
        timing: Facts of a timing.
        machine: Load and throttling of the machine.
        deployment: Facts of the deployed network.
        operators: Result of counting the network by its operators.
        predictions: Facts of the predictions.
        energy: Facts of an energy measurement.
        memory: Facts of a measurement of memory.
        data_notes: Notes about problems of the data.
        details: Further facts from a metric outside dsx, as plain JSON values, which dsx shows but
            does not interpret.
    """

    converged: bool = True
    noisy: bool | None = False
    timing: Timing | None = None
    machine: Machine | None = None
    deployment: DeploymentFacts | None = None
    operators: OperatorCount | None = None
    predictions: Predictions | None = None
    energy: Energy | None = None
    memory: PeakMemory | None = None
    data_notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measured value of a metric.

    A metric returns the value, its interval, its samples and its provenance. The other fields are
    filled in when the measurement is stored.

    Args:
        value: Value in the unit of the metric.
        low: Lower end of the 95 % confidence interval; equal to the value if that is exact.
        high: Upper end of the interval.
        samples: Samples that the value was computed from, in the unit of the metric; empty if the
            value was not computed from samples, or if they are not loaded.
        provenance: Record of how the value was obtained.
        examples: Result for each validation example, whose mean is the value; None if the metric
            has no such results, so that designs are not compared in pairs.
        number: Row number in the database; measurements with a larger number were stored later. It
            is known once a measurement is loaded.
        design: Id of the design that the measurement counts for.
        subject: Id of what was measured: the deployed network for a timed metric, otherwise the
            design.
        metric: Name of the metric.
        protocol: Id of the protocol.
        device: Fingerprint of the device.
        seed: Seed of the training that the value depends on; None if it depends on none.
        learned: Whether the value depends on the training of learned shapes.
        measured_at: Time of the measurement in UTC.
        sample_count: Number of samples, also if they are not loaded.
    """

    value: float
    low: float
    high: float
    samples: Sequence[float] = ()
    provenance: Provenance = Provenance()
    examples: ExampleResults | None = None
    number: int | None = None
    design: str = ""
    subject: str = ""
    metric: str = ""
    protocol: str = ""
    device: str = ""
    seed: int | None = None
    learned: bool = False
    measured_at: datetime | None = None
    sample_count: int = 0

    def __post_init__(self) -> None:
        plain_fields(self)
        object.__setattr__(self, "sample_count", len(self.samples) or self.sample_count)

    @property
    def converged(self) -> bool:
        """Whether the confidence interval reached its target width."""
        return self.provenance.converged

    @property
    def noisy(self) -> bool:
        """Whether other processes are known to have loaded the machine."""
        return bool(self.provenance.noisy)

    @property
    def flagged(self) -> bool:
        """Whether the measurement is unconverged or noisy."""
        return self.noisy or not self.converged

    @property
    def relative_width(self) -> float:
        """Width of the interval, relative to the value."""
        return (self.high - self.low) / self.value

    @property
    def chance(self) -> float | None:
        """Value that constant predictions reach; None for a metric without predictions."""
        return None if self.provenance.predictions is None else self.provenance.predictions.chance

    @property
    def better_than_chance(self) -> Literal["above", "below"]:
        """Whether better values are above or below `chance`."""
        predictions = self.provenance.predictions
        return "above" if predictions is None else predictions.better_than_chance

    @property
    def constant(self) -> bool:
        """Whether all predictions are the same class."""
        predictions = self.provenance.predictions
        return predictions is not None and predictions.predicted_classes == 1


def exact(value: float, provenance: Provenance | None = None) -> Measurement:
    """Return the measurement of an exact value.

    Args:
        value: The value.
        provenance: Record of how the value was obtained; None for an empty record.
    """
    return Measurement(value=value, low=value, high=value, provenance=provenance or Provenance())


def to_json(record: Record) -> dict[str, Any]:
    """Return a record as plain JSON values, without fields that have their default value.

    Args:
        record: The record.

    Returns:
        Name of a field to its value.

    Raises:
        ValueError: If a number is infinite or NaN, or a value is not a JSON value.
    """
    found: dict[str, Any] = {}
    for each in dataclasses.fields(record):
        value = getattr(record, each.name)
        if each.default_factory is not dataclasses.MISSING:
            default = each.default_factory()
        else:
            default = each.default
        if value != default:
            found[each.name] = _plain(value)
    try:
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{type(record).__name__} cannot be stored: {error}") from error
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return to_json(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def from_json(kind: type[R], content: Any) -> R:
    """Build a record from the plain JSON values that `to_json` returned.

    Args:
        kind: Class of the record.
        content: Plain JSON values.

    Returns:
        The record.

    Raises:
        ValueError: If a field is unknown, missing or of another type, or a number is infinite or
            NaN (pydantic's `ValidationError` is a `ValueError`).
    """
    # Strict validation takes a mapping for a dataclass only in JSON.
    found: R = _adapter(cast(Any, kind)).validate_json(json.dumps(content, allow_nan=False))
    return found


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
