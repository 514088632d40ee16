"""Proxies: comparison of rankings for given estimates and in a real study."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dsx import search
from dsx.analysis.estimate import Estimate
from dsx.analysis.front import MetricKind
from dsx.errors import StorageError
from dsx.nets.small_cnn import SmallCnn
from dsx.store.studies.proxies import Estimates, Proxy, compare, load_proxies, proxy_pairs
from dsx.store.studies.study import Study
from tests.search.kinds import KINDS
from tests.search.looking import states
from tests.search.spaces import TIMED, varied


def numbered(columns: Mapping[str, list[float]], half: float = 0.1) -> Estimates:
    """Build estimates of designs from columns of values; latency and accuracy have intervals."""
    wide = {"latency_ms": half, "accuracy": half}
    return {
        f"design {number}": {
            name: Estimate(value=v, low=v - wide.get(name, 0), high=v + wide.get(name, 0))
            for name, v in zip(columns, row, strict=True)
        }
        for number, row in enumerate(zip(*columns.values(), strict=True))
    }


def only(numbers: Estimates) -> Proxy:
    (found,) = compare(numbers, KINDS, "by-hand")
    return found


def test_four_of_ten_pairs_ordered_wrongly() -> None:
    found = only(numbered({"latency_ms": [1, 2, 3, 4, 5], "flops": [20, 10, 50, 40, 30]}))
    assert (found.name, found.target, found.designs) == ("flops", "latency_ms", 5)
    assert found.pairs is not None
    assert found.agreement is not None
    assert (found.pairs.decided, found.pairs.misordered, found.pairs.undecided) == (10, 4, 0)
    assert found.misordered == 0.4
    assert found.agreement.tau == pytest.approx((6 - 4) / 10)
    assert found.ceiling == pytest.approx(1, abs=1e-3)


def test_equal_deployed_networks_do_not_lower_the_ceiling() -> None:
    columns = {"latency_ms": [1.0, 1.0, 1.0, 3.0], "flops": [1.0, 2.0, 3.0, 4.0]}
    apart = numbered(columns, 0.5)
    shared = {
        design: measured | {
            "latency_ms": dataclasses.replace(
                measured["latency_ms"], rests_on=frozenset({1 if number < 3 else 2})
            )
        }
        for number, (design, measured) in enumerate(
            (design, dict(measured)) for design, measured in apart.items()
        )
    }  # fmt: skip
    one, other = only(shared), only(apart)
    assert one.ceiling == pytest.approx(1)
    assert other.ceiling is not None and other.ceiling < 0.8
    assert one.agreement == other.agreement
    assert one.pairs is not None and one.pairs.decided == 3


def test_pairs_without_a_significant_difference_do_not_count() -> None:
    found = only(numbered({"latency_ms": [1, 2, 3, 4, 5], "flops": [20, 10, 50, 40, 30]}, 0.6))
    assert found.pairs is not None
    # Three of the four misordered pairs have no significant difference.
    assert (found.pairs.decided, found.pairs.misordered) == (6, 1)
    assert found.ceiling is not None
    assert found.ceiling < 1
    nothing = only(numbered({"latency_ms": [1, 2, 3], "flops": [1, 2, 3]}, 9))
    assert nothing.pairs is not None
    assert (nothing.pairs.decided, nothing.misordered) == (0, None)


@pytest.mark.parametrize(
    ("latency", "flops", "constant"),
    [([1, 2, 3], [7, 7, 7], "flops"), ([2, 2, 2], [1, 2, 3], "latency_ms"),
     ([2, 2, 2], [7, 7, 7], "flops")],
)  # fmt: skip
def test_a_constant_metric_has_no_ranking(
    latency: list[float], flops: list[float], constant: str
) -> None:
    assert only(numbered({"latency_ms": latency, "flops": flops})) == Proxy(
        name="flops", target="latency_ms", designs=3, constant=constant
    )


def test_every_proxy_is_compared_with_its_target() -> None:
    counts = [1.0, 2.0, 3.0]
    names = ["params", "flops", "bits", "peak_memory_mb", "projected_accuracy"]
    columns = dict.fromkeys([*names, "latency_ms", "accuracy"], counts)
    found = compare(numbered(columns), KINDS, "by-hand")
    assert {proxy.name: proxy.target for proxy in found} == {
        **dict.fromkeys(("params", "flops", "bits", "peak_memory_mb"), "latency_ms"),
        "projected_accuracy": "accuracy",
    }


def test_designs_without_one_of_the_two_metrics_are_excluded() -> None:
    numbers = numbered({"latency_ms": [1, 2, 3], "flops": [1, 2, 3], "bits": [1, 2, 3]})
    numbers = {**numbers, "other": {"flops": Estimate(value=9, low=9, high=9)}}
    numbers = {**numbers, "design 0": {k: v for k, v in numbers["design 0"].items() if k != "bits"}}
    found = only(numbers)
    assert (found.name, found.designs) == ("flops", 3)


def test_two_designs_are_too_few_for_a_ranking() -> None:
    some = {name: KINDS[name] for name in ("flops", "latency_ms", "accuracy")}
    problem = r"^study 'by-hand' has 2 designs with latency_ms \(at least 3 are needed"
    with pytest.raises(StorageError, match=problem):
        compare(numbered({"latency_ms": [1, 2], "flops": [1, 2]}), some, "by-hand")


class Transformed(SmallCnn):
    """A network with an operator that the operator counter does not know."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.fft.fft(super().forward(x)).real
        return out


def test_designs_that_were_timed_and_then_rejected_are_included(
    storage: str, tmp_path: Path
) -> None:
    space = varied(TIMED, tmp_path, "model: small_cnn", f"model: {__name__}:Transformed")
    text = space.read_text() + "constraints: {latency_ms: '<= 1%'}\n"
    space.write_text(text)
    found = search(space, trials=9, storage=storage)
    seen = states(storage, found.study)
    assert (seen["complete"], seen["rejected"]) == (1, 2)
    report = load_proxies(Study.open(storage, None))
    assert [proxy.designs for proxy in report.proxies] == [3, 3, 3]
    assert report.front.study == found.study
    assert report.numbers.keys() > {entry.id for entry in found.entries}
    assert report.unknown_operators == {"aten::_fft_r2c": 1}
    note = "flops do not include the unknown operators aten::_fft_r2c (1); "
    assert report.front.conditions["flops"].startswith(note)
    for proxy in report.proxies:
        assert report.points(proxy).keys() == report.numbers.keys()


def test_foreign_metrics_are_proxies_according_to_their_stage() -> None:
    kinds = {
        "mypkg:watts": MetricKind("timed", "re-measure"),
        "mypkg:entropy": MetricKind("static", "none"),
        "mypkg:buffers": MetricKind("timed", "none"),
        "mypkg:error": MetricKind("trained", "retrain"),
        "mypkg:guess": MetricKind("projected", "none"),
    }
    assert proxy_pairs(kinds) == [
        ("mypkg:entropy", "mypkg:watts"),
        ("mypkg:buffers", "mypkg:watts"),
        ("mypkg:guess", "mypkg:error"),
    ]
    found = compare(numbered({name: [1.0, 2.0, 3.0] for name in kinds}), kinds, "by-hand")
    assert [(proxy.name, proxy.target) for proxy in found] == proxy_pairs(kinds)


def test_a_study_without_timed_or_trained_metrics_has_no_proxies() -> None:
    numbers = numbered({"flops": [1, 2, 3]})
    with pytest.raises(StorageError, match=r"^study .by-hand. has neither a timed metric"):
        compare(numbers, {"flops": KINDS["flops"]}, "by-hand")
