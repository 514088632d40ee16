"""Proxies in words: a table, and what each of its numbers means; the same rows for programs."""

import math
from collections.abc import Iterator

from rich.table import Table

from dsx.errors import printable
from dsx.report.front.roles import Role
from dsx.report.text.console import console
from dsx.report.text.listing import listing, print_rows
from dsx.report.text.numbers import FLAGS, title
from dsx.store.studies import Proxy, ProxyReport

DRAWN = {Role.DOMINATED: "other designs", Role.FRONT: "front", Role.BASELINE: "baseline"}
"""What a picture shows a design as, in this order, and what its legend says."""

FEW = 10
"""Designs below which resamples are too much alike to say how sure a number is."""


def print_proxies(report: ProxyReport, format: str) -> None:
    """Print what the counted numbers of a study are worth.

    Args:
        report: The report.
        format: "table", "json" or "csv".
    """
    if format != "table":
        about = {
            "study": report.front.study,
            "space": report.front.space,
            "conditions": dict(report.front.conditions),
            "unknown_operators": dict(report.unknown_operators),
            "sentences": sentences(report),
        }
        print_rows([row(proxy) for proxy in report.proxies], format, about, "proxies")
        return
    out = console()
    out.print(f"Study {report.front.study}: how well numbers that are cheap to know order designs")
    out.print(table(report))
    for sentence in sentences(report):
        out.print(sentence)


def row(proxy: Proxy) -> dict[str, object]:
    """Give the numbers of a proxy for programs.

    Args:
        proxy: A proxy.

    Returns:
        By name; None for what does not exist where a metric is constant.
    """
    agreed, pairs = proxy.agreement, proxy.pairs
    return {
        "proxy": proxy.name,
        "stands_for": proxy.target,
        "designs": proxy.designs,
        "constant": proxy.constant or None,
        "kendall_tau": agreed and agreed.tau,
        "kendall_tau_low": agreed and agreed.low,
        "kendall_tau_high": agreed and agreed.high,
        "spearman_rho": agreed and agreed.spearman,
        "ceiling": proxy.ceiling,
        "pairs": pairs and pairs.decided,
        "misordered_pairs": pairs and pairs.misordered,
        "undecided_pairs": pairs and pairs.undecided,
        "misordered": proxy.misordered,
    }


def table(report: ProxyReport) -> Table:
    """Lay the proxies out as a table.

    Args:
        report: The report.

    Returns:
        A line for each proxy.
    """
    lines = [_line(report, proxy) for proxy in report.proxies]
    return listing(lines, right=("tau", "95 %", "rho", "ceiling", "wrong"))


def said_of(report: ProxyReport, proxy: Proxy) -> str:
    """Say in a few words how well a proxy does, as the title of its panel."""
    name, agreed = _title(report, proxy.name), proxy.agreement
    if agreed is None:
        which = "" if proxy.constant == proxy.name else f"{_title(report, proxy.constant)} "
        return f"{name}: {which}constant"
    return f"{name}: tau {agreed.tau:.2f} ({agreed.low:.2f} to {agreed.high:.2f})"


def columns_of(report: ProxyReport) -> int:
    """Say how many panels of a picture stand side by side: three at most, and rows alike."""
    number = len(report.proxies)
    return math.ceil(number / math.ceil(number / 3))


def drawn_as(report: ProxyReport, design: str) -> Role:
    """Say as what a picture shows a design; those that never got as far as a front are others."""
    if design == report.front.baseline:
        return Role.BASELINE
    return Role.FRONT if design in report.front.front_ids else Role.DOMINATED


def sentences(report: ProxyReport) -> list[str]:
    """Say what the numbers mean.

    Args:
        report: The report.

    Returns:
        For each measured metric a sentence on how well its own order is known, then one for each
        proxy; at last what to be careful about.
    """
    said = []
    for target in dict.fromkeys(proxy.target for proxy in report.proxies):
        proxies = [proxy for proxy in report.proxies if proxy.target == target]
        said += [_known(report, proxy) for proxy in proxies if proxy.pairs][:1]
        said += [_meaning(report, proxy) for proxy in proxies]
    said += _doubts(report)
    if any(proxy.designs < FEW for proxy in report.proxies):
        said.append(f"Of fewer than {FEW} designs the intervals of tau say little.")
    if report.unknown_operators:
        named = ", ".join(f"{name} ({times})" for name, times in report.unknown_operators.items())
        said.append(f"Not known to the counter of operators: {named}; flops leave them out.")
    return said


def _doubts(report: ProxyReport) -> Iterator[str]:
    """Say how many of the measured numbers were taken in bad conditions."""
    for target in dict.fromkeys(proxy.target for proxy in report.proxies):
        values = [numbers[target] for numbers in report.numbers.values() if target in numbers]
        for name, (_, words) in FLAGS.items():
            count = sum(getattr(value, name) for value in values)
            if count:
                what = _title(report, target)
                yield f"{_upper(what)} of {count:,} of the {len(values):,} designs: {words}."


def _line(report: ProxyReport, proxy: Proxy) -> dict[str, object]:
    line: dict[str, object] = {
        "proxy": _title(report, proxy.name),
        "for": _title(report, proxy.target),
        "designs": proxy.designs,
    }
    agreed, pairs = proxy.agreement, proxy.pairs
    if agreed is None or pairs is None:
        return line | {"tau": "constant", "95 %": "-", "rho": "-", "ceiling": "-", "wrong": "-"}
    return line | {
        "tau": f"{agreed.tau:.2f}",
        "95 %": f"{agreed.low:.2f} to {agreed.high:.2f}",
        "rho": f"{agreed.spearman:.2f}",
        "ceiling": f"{proxy.ceiling:.2f}",
        "wrong": "-" if proxy.misordered is None else f"{proxy.misordered:.1%}",
    }


def _known(report: ProxyReport, proxy: Proxy) -> str:
    assert proxy.pairs is not None
    what = _title(report, proxy.target)
    every = proxy.designs * (proxy.designs - 1) // 2
    return (
        f"{_upper(what)} tells {proxy.pairs.decided:,} of the {every:,} pairs of "
        f"{proxy.designs:,} designs apart; measured twice, its two orders would agree with a tau "
        f"of {proxy.ceiling:.2f}, and no proxy can be expected to do much better."
    )


def _meaning(report: ProxyReport, proxy: Proxy) -> str:
    name, what = _title(report, proxy.name), _title(report, proxy.target)
    s = "" if name.endswith("s") else "s"
    if proxy.constant:
        whose = _upper(_title(report, proxy.constant))
        verb = "are" if whose.endswith("s") else "is"
        return f"{whose} {verb} the same for all designs: there is no order to compare."
    pairs = proxy.pairs
    assert pairs is not None
    if not pairs.decided:
        return f"{_upper(name)} order{s} designs that {what} does not tell apart."
    undecided = f", and leave{s} {pairs.undecided:,} undecided" if pairs.undecided else ""
    agreed = proxy.agreement
    chance = agreed is not None and agreed.low <= 0
    return (
        f"{_upper(name)} order{s} {pairs.misordered:,} of {pairs.decided:,} pairs of designs "
        f"wrongly on this device ({proxy.misordered:.1%}){undecided}"
        f"{': no better than chance, as far as these designs show' if chance else ''}."
    )


def _title(report: ProxyReport, name: str) -> str:
    return printable(title(name, report.front.units.get(name, "")))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
