"""Proxies as a table, in sentences, and for programs."""

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
    print_proxies,
    proxies_document,
    said_of,
    sentences,
    table,
)
from dsx.store.studies.proxies import Proxy, ProxyReport, compare
from tests.search.kinds import KINDS


def of(report: ProxyReport, numbers: Mapping[str, Mapping[str, Estimate]]) -> ProxyReport:
    """Report on other numbers."""
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


def test_the_numbers_are_said_in_sentences(proxies: ProxyReport) -> None:
    made = line(proxies, [1, 2, 3, 4, 5], [20, 10, 50, 40, 30])
    assert sentences(made) == [
        "Latency tells 10 of the 10 pairs of 5 designs apart; measured twice, its two orders would "
        "agree with a tau of 1.00, and no proxy can be expected to do much better.",
        "Flops order 4 of 10 pairs of designs wrongly on this device (40.0%): no better than "
        "chance, as far as these designs show.",
        "Of fewer than 10 designs the intervals of tau say little.",
    ]


@pytest.mark.parametrize(
    ("latency", "flops", "said"),
    [
        ([1, 2, 3], [1, 1, 3], "Flops order 0 of 3 pairs of designs wrongly on this device (0.0%), "
         "and leave 1 undecided."),
        ([1, 1.1, 1.15], [3, 2, 1], "Flops order designs that latency does not tell apart."),
        ([1, 2, 3], [7, 7, 7], "Flops are the same for all designs: there is no order to "
         "compare."),
        ([2, 2, 2], [1, 2, 3], "Latency is the same for all designs: there is no order to "
         "compare."),
    ],
)  # fmt: skip
def test_ties_and_constants_have_sentences_of_their_own(
    proxies: ProxyReport, latency: list[float], flops: list[float], said: str
) -> None:
    assert said in sentences(line(proxies, latency, flops))


def test_numbers_from_bad_conditions_are_counted(proxies: ProxyReport) -> None:
    made = line(proxies, [1, 2, 3, 4, 5], [20, 10, 50, 40, 30])
    numbers = {
        name: {**own, "latency_ms": dataclasses.replace(own["latency_ms"], noisy=name < "design 2")}
        for name, own in made.numbers.items()
    }
    said = "Latency of 2 of the 5 designs: measured while other processes loaded the machine."
    assert said in sentences(of(proxies, numbers))
    assert not any("busy" in sentence for sentence in sentences(made))


def test_operators_that_nobody_counts_are_named(proxies: ProxyReport) -> None:
    said = "Not known to the counter of operators: aten::fft_fft (2); flops leave them out."
    assert sentences(proxies)[-1] == said


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


def test_the_formats_hold_the_same_numbers(
    proxies: ProxyReport, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(json.dumps(proxies_document(proxies)))
    assert document["unknown_operators"] == {"aten::fft_fft": 2}
    assert document["sentences"] == sentences(proxies)
    print_proxies(proxies, "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    flops = document["comparisons"][0]
    assert (flops["proxy"], flops["stands_for"], flops["designs"]) == ("flops", "latency_ms", 10)
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
    assert out.startswith("Study vgg16-3: ")
    for sentence in sentences(proxies):
        assert sentence in out


def test_a_panel_says_how_well_its_proxy_does(proxies: ProxyReport) -> None:
    _, params, *_, memory = proxies.proxies
    assert said_of(proxies, memory) == "peak memory: constant"
    assert said_of(proxies, params).startswith("params: tau 0.")
    blind = Proxy(name="flops", target="latency_ms", designs=3, constant="latency_ms")
    assert said_of(proxies, blind) == "flops: latency constant"


def test_designs_are_drawn_as_what_they_are(proxies: ProxyReport) -> None:
    front = proxies.front
    assert drawn_as(proxies, front.baseline) == "baseline"
    assert drawn_as(proxies, front.knee.id) == "front"
    assert drawn_as(proxies, "rejected") == "dominated"


@pytest.mark.parametrize(("panels", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (6, 3)])
def test_panels_stand_in_even_rows(proxies: ProxyReport, panels: int, columns: int) -> None:
    some = (proxies.proxies * 2)[:panels]
    assert columns_of(dataclasses.replace(proxies, proxies=some)) == columns
