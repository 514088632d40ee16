"""The plan of a study: its metrics, their order and their protocols."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dsx.conv import Cost
from dsx.errors import DsxError, Unsupported, raise_out_of_memory, with_type
from dsx.lookup import find, names
from dsx.measure import Metric, training_facts
from dsx.measure.backends import forms_note, unsupported
from dsx.measure.metrics import STAGES, Stage, in_order
from dsx.plain import plain
from dsx.space import Design, SearchSpace
from dsx.space.probe import fingerprint, probe
from dsx.store.measurements import MeasurementStore
from dsx.store.weights import training_id


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The metrics of a study.

    Args:
        space: Search space of the study.
        metrics: Metrics by name: objectives, constraints and all metrics that can be counted, in
            the order of their stages.
        settings: Settings that the values of each metric depend on, as plain JSON values.
        protocols: Protocol id of each metric.
        learned: Protocol id of each metric for designs with learned shapes, whose values all depend
            on the training; empty if the space has no such designs.
        notes: Notes for the user about the network and its weights.
    """

    space: SearchSpace
    metrics: Mapping[str, Metric]
    settings: Mapping[str, Mapping[str, Any]]
    protocols: Mapping[str, str]
    learned: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def training(self) -> str:
        """The id of the training of the study; empty if no metric requires training."""
        trained = [name for name, metric in self.metrics.items() if metric.stage == "trained"]
        return training_id({name: self.protocols[name] for name in trained})

    def expected(self, cost: Cost) -> dict[str, float]:
        """Return the values of the metrics with a closed form.

        Args:
            cost: Cost of a design.

        Returns:
            Metric to value.
        """
        return {
            name: metric.closed_form(cost)
            for name, metric in self.metrics.items()
            if metric.closed_form is not None
        }

    def protocol(self, name: str, design: Design) -> str:
        """Return the protocol id of a metric for a design.

        Args:
            name: Name of the metric.
            design: The design.

        Returns:
            The protocol id.
        """
        return self.learned[name] if design.learned else self.protocols[name]

    def stages(self, design: Design) -> list[tuple[Stage, list[str]]]:
        """List the metrics of each stage, the cheapest stage first.

        Args:
            design: The design. With learned shapes the training comes first, because all other
                values depend on it.

        Returns:
            The stages in the order in which a design goes through them.
        """
        order = (STAGES[-1], *STAGES[:-1]) if design.learned else STAGES
        return [
            (stage, [name for name, metric in self.metrics.items() if metric.stage == stage])
            for stage in order
        ]

    def violations(
        self, values: Mapping[str, float], baseline: Mapping[str, float]
    ) -> dict[str, float]:
        """Compute by how much each constraint is violated.

        Args:
            values: Values of the design by metric, as far as they are known.
            baseline: Values of the baseline by metric.

        Returns:
            Metric to violation, which is positive if the constraint is violated.
        """
        return {
            name: bound.violation(values[name], baseline[name])
            for name, bound in self.space.file.constraints.items()
            if name in values and name in baseline
        }


def find_metrics(space: SearchSpace) -> dict[str, Metric]:
    """Find the metrics of a search space.

    Args:
        space: The search space.

    Returns:
        The objectives, the constraints and the metrics that are always measured, by name, in the
        order of their stages.

    Raises:
        SpaceError: If a metric is unknown, is not supported on this machine, or requires weights
            that the space does not specify, or if the backend does not support the settings of the
            space on this machine.
    """
    if problem := unsupported(space.file.measure):
        raise space.source.error(("measure", problem.key), problem.reason)
    wanted = {}
    named = [("objectives", name) for name in space.file.objectives]
    named += [("constraints", name) for name in space.file.constraints]
    for key, name in named:
        try:
            wanted[name] = find(Metric, name)
            reason = unsupported_metric(name, wanted[name], space)
        except DsxError as error:
            raise space.source.error((key, name), str(error)) from error
        if reason is not None:
            raise space.source.error((key, name), reason.reason)
    known = {name: find(Metric, name) for name in names(Metric)}
    always = {
        name: metric
        for name, metric in known.items()
        if metric.always and unsupported_metric(name, metric, space) is None
    }
    return in_order(always | wanted)


def unmet_constraints(space: SearchSpace) -> dict[str, str]:
    """Find the constraints on metrics with a closed form that no design of a space can meet.

    Args:
        space: The search space.

    Returns:
        Metric to a description of the problem.
    """
    least, most = space.cost_range()
    baseline = space.cost(space.baseline)
    problems = {}
    for name, bound in space.file.constraints.items():
        closed_form = find(Metric, name).closed_form
        if closed_form is None:
            continue
        best, original = closed_form(least if bound.at_most else most), closed_form(baseline)
        if bound.violation(best, original) > 0:
            share = f"{best / original:.1%} of the baseline" if original else str(best)
            word = "smallest" if bound.at_most else "largest"
            problems[name] = f"no design can meet this: the {word} has {best:,} ({share})"
    return problems


def make_plan(space: SearchSpace, measurements: MeasurementStore) -> Plan:
    """Plan a study.

    Args:
        space: The search space.
        measurements: Measurements of this device, in whose database the protocols are stored.

    Returns:
        The plan.

    Raises:
        SpaceError: If a metric is unknown, no design can meet a constraint, or the network cannot
            be redesigned or trained.
    """
    metrics = find_metrics(space)
    for name, problem in unmet_constraints(space).items():
        raise space.source.error(("constraints", name), problem)
    forms = forms_note(space.file.measure)
    notes = (*space.notes, *probe(space), *([] if forms is None else [forms]))
    plan = plan_metrics(space, metrics, measurements, space.learned)
    return dataclasses.replace(plan, notes=notes)


def plan_metrics(
    space: SearchSpace, metrics: Mapping[str, Metric], measurements: MeasurementStore, learned: bool
) -> Plan:
    """Determine the protocols of metrics, and store them.

    Args:
        space: The search space.
        metrics: Metrics by name, in the order of their stages.
        measurements: Measurements of this device, in whose database the protocols are stored.
        learned: Whether designs with learned shapes are measured.

    Returns:
        The plan.
    """
    # The same network can process images of several sizes, with different costs.
    common: dict[str, Any] = {"image_shape": list(space.data.image_shape)}
    if space.is_user_model:
        # The code of the user can change while its import path stays the same.
        common["network"] = fingerprint(space)
    settings = {
        name: plain({**_protocol(name, metric, space), **common})
        for name, metric in metrics.items()
    }
    return Plan(
        space=space,
        metrics=metrics,
        settings=settings,
        protocols={
            name: measurements.add_protocol(name, facts) for name, facts in settings.items()
        },
        learned={
            name: measurements.add_protocol(name, {**facts, "learned_shapes": _shaping(space)})
            for name, facts in settings.items()
            if learned
        },
    )


def unsupported_metric(name: str, metric: Metric, space: SearchSpace) -> Unsupported | None:
    """Check whether a metric can be measured for a space on this machine.

    Args:
        name: Name or import path of the metric.
        metric: The metric.
        space: The space.

    Returns:
        The reason why it cannot, as the rest of a sentence that begins with the metric's name;
        None if it can.

    Raises:
        DsxError: If the check of a metric from outside dsx fails, or returns something else.
    """
    with _user_metric(name, "unsupported()"):
        found = metric.unsupported(space)
    if found is not None and not isinstance(found, Unsupported):
        kind = type(found).__name__
        raise DsxError(f"{name}: unsupported() returns a {kind}, not an Unsupported or None")
    return found


def _protocol(name: str, metric: Metric, space: SearchSpace) -> Mapping[str, Any]:
    """Return the protocol of a metric."""
    with _user_metric(name, "protocol()"):
        return metric.protocol(space)


@contextmanager
def _user_metric(name: str, function: str) -> Iterator[None]:
    """Blame an error on a metric from outside dsx; errors of dsx's own metrics are bugs."""
    try:
        yield
    except DsxError:
        raise
    except (Exception, SystemExit) as error:
        if ":" not in name:
            raise
        raise_out_of_memory(error)
        raise DsxError(f"{name}: {function} fails: {with_type(error)}") from error


def _shaping(space: SearchSpace) -> dict[str, Any]:
    """Return the settings that learned shapes depend on."""
    # Another order of summation can lead to other shapes.
    return {**training_facts(space), "threads": space.file.measure.threads}
