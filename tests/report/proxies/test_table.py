"""Proxies as a table with sentences, as JSON and CSV."""

import csv
import dataclasses
import io
import json
from collections.abc import Mapping

import pytest
from rich.console import Console

from dsx.analysis.estimate import Estimate
from dsx.report.proxies.table import (
    columns_of,
    drawn_as,
    panel_title,
    print_proxies,
    proxies_document,
    sentences,
    table,
)
from dsx.store.studies.proxies import Proxy, ProxyReport, compare
from tests.search.kinds import KINDS


def of(report: ProxyReport, numbers: Mapping[str, Mapping[str, Estimate]]) -> ProxyReport:
    """Replace the values of a report."""
    return dataclasses.replace(
        report, numbers=numbers, proxies=compare(numbers, KINDS, "x"), unknown_operators={}
    )


def line(report: ProxyReport, latency: list[float], flops: list[float]) -> ProxyReport:
    return of(
        report,
        {
            f"design {number}": {
                "latency_ms": Estimate(value=slow, low=slow - 0.1, high=slow + 0.1),
                "flops": Estimate(value=count, low=count, high=count),
            }
            for number, (slow, count) in enumerate(zip(latency, flops, strict=True))
        },
    )


def test_sentences_explain_the_correlations(proxies: ProxyReport) -> None:
    made = line(proxies, [1, 2, 3, 4, 5], [20, 10, 50, 40, 30])
    ceiling, flops, caveat = sentences(made)
    assert ceiling.startswith("Latency decides the order of 10 of 10 pairs of 5 designs")
    assert "tau 1.00" in ceiling
    assert flops.startswith("Flops misorder 4 of 10 pairs") and "(40.0%): not signif" in flops
    assert "fewer than 10 designs" in caveat


@pytest.mark.parametrize(
    ("latency", "flops", "start", "end"),
    [
        ([1, 2, 3], [1, 1, 3], "Flops misorder 0 of 3 pairs", "(0.0%), and leave 1 undecided."),
        ([1, 1.1, 1.15], [3, 2, 1], "Flops rank designs ", "in latency is undecided."),
        ([1, 2, 3], [7, 7, 7], "Flops are equal for all designs", "no ranking to compare."),
        ([2, 2, 2], [1, 2, 3], "Latency is equal for all designs", "no ranking to compare."),
    ],
)  # fmt: skip
def test_sentences_about_ties_and_constants(
    proxies: ProxyReport, latency: list[float], flops: list[float], start: str, end: str
) -> None:
    found = sentences(line(proxies, latency, flops))
    assert any(each.startswith(start) and each.endswith(end) for each in found)


def test_flagged_values_are_counted(proxies: ProxyReport) -> None:
    made = line(proxies, [1, 2, 3, 4, 5], [20, 10, 50, 40, 30])
    numbers = {
        name: {**own, "latency_ms": dataclasses.replace(own["latency_ms"], noisy=name < "design 2")}
        for name, own in made.numbers.items()
    }
    note = "Latency of 2 of the 5 designs: measured while other processes loaded the machine."
    assert note in sentences(of(proxies, numbers))
    assert not any("loaded" in sentence for sentence in sentences(made))


def test_operators_that_are_not_counted_are_named(proxies: ProxyReport) -> None:
    assert sentences(proxies)[-1] == "Operators that are not counted in flops: aten::fft_fft (2)."


def cells(report: ProxyReport, columns: int) -> str:
    out = io.StringIO()
    Console(file=out, width=columns).print(table(report))
    return out.getvalue()


def test_the_table_has_a_line_for_each_proxy(proxies: ProxyReport) -> None:
    head, *rows = cells(proxies, 80).splitlines()
    assert head.split() == ["proxy", "for", "designs", "tau", "95", "%", "rho", "ceiling", "wrong"]
    assert [row.split()[0] for row in rows] == ["flops", "params", "bits", "peak"]
    # The rejected design has no bits.
    assert [row.split("latency")[1].split()[0] for row in rows] == ["10", "10", "9", "9"]
    assert rows[-1].split("latency")[1].split() == ["9", "constant", "-", "-", "-", "-"]


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_the_table_fits(proxies: ProxyReport, columns: int) -> None:
    assert max(map(len, cells(proxies, columns).splitlines())) <= columns


def test_the_formats_contain_the_same_values(
    proxies: ProxyReport, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(json.dumps(proxies_document(proxies)))
    assert document["unknown_operators"] == {"aten::fft_fft": 2}
    assert document["sentences"] == sentences(proxies)
    print_proxies(proxies, "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    flops = document["comparisons"][0]
    assert (flops["proxy"], flops["target"], flops["designs"]) == ("flops", "latency_ms", 10)
    assert flops["misordered"] == flops["misordered_pairs"] / flops["pairs"]
    for row, read in zip(rows, document["comparisons"], strict=True):
        assert row == {name: "" if v is None else str(v) for name, v in read.items()}
    constant = document["comparisons"][3]
    assert constant["constant"] == "peak_memory_mb"
    assert constant["kendall_tau"] is constant["misordered"] is constant["ceiling"] is None


def test_a_table_is_printed_with_its_sentences(
    proxies: ProxyReport, capsys: pytest.CaptureFixture[str]
) -> None:
    print_proxies(proxies, "table")
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("vgg16-3: rank correlation")
    for sentence in sentences(proxies):
        assert sentence in out


def test_the_title_of_a_panel(proxies: ProxyReport) -> None:
    _, params, *_, memory = proxies.proxies
    assert panel_title(proxies, memory) == "peak memory: constant"
    assert panel_title(proxies, params).startswith("params: tau 0.")
    blind = Proxy(name="flops", target="latency_ms", designs=3, constant="latency_ms")
    assert panel_title(proxies, blind) == "flops: latency constant"


def test_designs_are_drawn_by_their_role(proxies: ProxyReport) -> None:
    front = proxies.front
    assert drawn_as(proxies, front.baseline) == "baseline"
    assert drawn_as(proxies, front.knee.id) == "front"
    assert drawn_as(proxies, "rejected") == "dominated"


@pytest.mark.parametrize(("panels", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (6, 3)])
def test_panels_have_even_rows(proxies: ProxyReport, panels: int, columns: int) -> None:
    some = (proxies.proxies * 2)[:panels]
    assert columns_of(dataclasses.replace(proxies, proxies=some)) == columns
