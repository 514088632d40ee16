"""One design as plain rows: its metrics, its measurements and its slots."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from dsx.analysis import Entry, Estimate, Measurement, to_json
from dsx.errors import parameter
from dsx.report.front.rows import PLACES
from dsx.report.front.view import metrics
from dsx.store.studies import StudyResults

if TYPE_CHECKING:
    # Its package imports torch, which a design whose network is not built does not need.
    from dsx.search.design import SlotTable

Row = dict[str, object]


def slots_note() -> str:
    """Return a note for the user that the slots are not shown."""
    return (
        "the slots are not shown, because the space imports code outside dsx (add "
        f"{parameter('space', 'FILE')} with your space file of the study, or "
        f"{parameter('trust', True)})"
    )


@dataclass(frozen=True, kw_only=True)
class ShownDesign:
    """One design of a study as it is shown.

    Attributes:
        results: The results of the study.
        entry: The design.
        slots: The slots of the design; None if the network cannot be built without running code
            that is not permitted.
    """

    results: StudyResults
    entry: Entry
    slots: "SlotTable | None"

    @property
    def baseline(self) -> Entry | None:
        """The baseline; None if it is not measured, or is the design itself."""
        found = self.results.front.baseline_entry
        return None if found is None or found.id == self.entry.id else found

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics of the design, the objectives first."""
        return [name for name in metrics(self.results.front) if name in self.entry.metrics]

    @property
    def measurements(self) -> list[Measurement]:
        """Measurements of the design by metric, those of one metric in the order of storage."""
        own = self.results.of(self.entry)
        return [each for name in self.metrics for each in own if each.metric == name]


def roles(shown: ShownDesign) -> list[str]:
    """Return the roles of the design in its study: "baseline", "knee", "best latency_ms".

    Args:
        shown: The design.
    """
    front, own = shown.results.front, shown.entry.id
    found = ["baseline"] * (own == front.baseline)
    found += ["knee"] * (front.has_knee and front.knee.id == own)
    best = [name for name in front.objectives if front.on_front and front.best(name).id == own]
    return found + [f"best {name}" for name in best if name not in front.at_chance]


def headline(shown: ShownDesign) -> Row:
    """Describe the design and its role in the study as plain JSON values.

    Args:
        shown: The design.

    Returns:
        Keys and values of the design.
    """
    front, entry = shown.results.front, shown.entry
    return {
        "id": entry.id,
        "trial": entry.trial,
        "roles": roles(shown),
        "on_front": entry.id in front.front_ids,
        "membership": front.membership[entry.id],
        "probability": round(front.probability[entry.id], PLACES),
        "feasible": entry.feasible,
        "spec": {slot: dict(dials) for slot, dials in entry.spec.items()},
        "redesigned": entry.redesigned,
        "fallbacks": entry.fallbacks,
        "deployed": entry.deployed,
        "deployed_counts": dict(entry.deployed_counts),
        "device": entry.device,
    }


def metric_rows(shown: ShownDesign) -> list[Row]:
    """Describe each metric of the design and its comparison with the baseline.

    Args:
        shown: The design.

    Returns:
        A row for each metric; the columns of the baseline are None if it lacks the metric or is
        the design itself.
    """
    units, baseline = shown.results.front.units, shown.baseline
    rows = []
    for name in shown.metrics:
        own = shown.entry.metrics[name]
        other = None if baseline is None else baseline.metrics.get(name)
        rows.append(
            {
                "metric": name,
                "unit": units.get(name, ""),
                **_ends(own),
                "seeds": own.seeds,
                "readings": own.readings,
                "converged": own.converged,
                "noisy": own.noisy,
                "at_chance": None if own.chance is None else own.at_chance,
                **{f"baseline_{key}": end for key, end in _ends(other).items()},
                "difference": None if other is None else own.value - other.value,
                "ratio": own.value / other.value if other is not None and other.value else None,
                "separated": None if other is None else separated(own, other),
            }
        )
    return rows


def _ends(estimate: Estimate | None) -> Row:
    return {key: estimate and getattr(estimate, key) for key in ("value", "low", "high")}


def separated(one: Estimate, other: Estimate) -> bool:
    """Check whether the 95 % intervals of two estimates have no value in common.

    Args:
        one: An estimate.
        other: The other one; it may rest on the same measurements.
    """
    return one.high < other.low or other.high < one.low


def measurement_rows(shown: ShownDesign) -> list[Row]:
    """Describe each measurement of the design with its provenance.

    Args:
        shown: The design.

    Returns:
        A row for each measurement; `counted` states whether the estimate rests on it.
    """
    return [
        {
            "metric": each.metric,
            "number": each.number,
            "value": each.value,
            "low": each.low,
            "high": each.high,
            "samples": each.sample_count,
            "seed": each.seed,
            "measured_at": f"{each.measured_at:%Y-%m-%dT%H:%M:%SZ}",
            "converged": each.converged,
            "noisy": each.noisy,
            "counted": each.number in shown.entry.metrics[each.metric].rests_on,
            "subject": each.subject,
            "protocol": each.protocol or None,
            "device": each.device,
            "provenance": to_json(each.provenance),
        }
        for each in shown.measurements
    ]


def slot_rows(table: "SlotTable") -> list[Row]:
    """Describe each slot of a design.

    Args:
        table: The slots.

    Returns:
        A row for each slot; costs are those of one image, in numbers and multiply-adds, and the
        shares are relative to the whole network.
    """
    return [
        {
            "slot": row.slot.name,
            "in_channels": row.slot.in_channels,
            "out_channels": row.slot.out_channels,
            "kernel": "x".join(map(str, row.slot.kernel_size)),
            "stride": "x".join(map(str, row.slot.stride)),
            "spec": row.notation,
            **asdict(row.cost),
            "params_share": _share(row.cost.params, table.total.params),
            "flops_share": _share(row.cost.flops, table.total.flops),
        }
        for row in table.rows
    ]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
