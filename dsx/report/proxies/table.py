"""Proxy metrics as a table with an explanation of each number, as JSON or CSV."""

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
"""Role by which a figure shows a design, in drawing order, to its name in the legend."""

FEW = 10
"""Number of designs below which the bootstrap intervals of tau are not reliable."""


def proxies_document(report: ProxyReport) -> dict[str, object]:
    """Describe how well proxy metrics rank the designs of a study as plain JSON values.

    Args:
        report: Rank correlations of the study.

    Returns:
        `comparisons`, a row for each pair of metrics; `unknown_operators` of the baseline;
        `sentences`, which explain the values.
    """
    return {
        "comparisons": [row(proxy) for proxy in report.proxies],
        "unknown_operators": dict(report.unknown_operators),
        "sentences": sentences(report),
    }


def print_proxies(report: ProxyReport, format: str) -> None:
    """Print how well proxy metrics rank the designs of a study to stdout.

    Args:
        report: Rank correlations of the study.
        format: "table" or "csv"; JSON is a part of the document of the front.
    """
    if format == "csv":
        print_rows([row(proxy) for proxy in report.proxies], format, {}, "proxies")
        return
    out = console()
    out.print(f"{report.front.study}: rank correlation of proxy metrics with measured metrics")
    out.print(table(report))
    for sentence in sentences(report):
        out.print(sentence)


def row(proxy: Proxy) -> dict[str, object]:
    """Describe a proxy as a plain row.

    Args:
        proxy: The proxy.

    Returns:
        Values by key; None for values that are undefined because a metric is constant.
    """
    agreed, pairs = proxy.agreement, proxy.pairs
    return {
        "proxy": proxy.name,
        "target": proxy.target,
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
    """Lay out the proxies as a table.

    Args:
        report: Rank correlations of the study.

    Returns:
        A table with a row for each proxy.
    """
    lines = [_line(report, proxy) for proxy in report.proxies]
    return listing(lines, right=("tau", "95 %", "rho", "ceiling", "wrong"))


def panel_title(report: ProxyReport, proxy: Proxy) -> str:
    """Describe a proxy as the title of its panel.

    Args:
        report: Rank correlations of the study.
        proxy: The proxy.

    Returns:
        Such as "flops: tau 0.72 (0.55 to 0.84)".
    """
    name, agreed = _title(report, proxy.name), proxy.agreement
    if agreed is None:
        which = "" if proxy.constant == proxy.name else f"{_title(report, proxy.constant)} "
        return f"{name}: {which}constant"
    return f"{name}: tau {agreed.tau:.2f} ({agreed.low:.2f} to {agreed.high:.2f})"


def columns_of(report: ProxyReport) -> int:
    """Compute the number of columns of panels.

    Args:
        report: Rank correlations of the study.

    Returns:
        At most three, such that the rows have equal lengths if possible.
    """
    number = len(report.proxies)
    return math.ceil(number / math.ceil(number / 3))


def drawn_as(report: ProxyReport, design: str) -> Role:
    """Determine the role by which a figure shows a design.

    Args:
        report: Rank correlations of the study.
        design: Design id; rejected designs count as dominated.

    Returns:
        A key of `DRAWN`.
    """
    if design == report.front.baseline:
        return Role.BASELINE
    return Role.FRONT if design in report.front.front_ids else Role.DOMINATED


def sentences(report: ProxyReport) -> list[str]:
    """Explain the rank correlations.

    Args:
        report: Rank correlations of the study.

    Returns:
        For each measured metric a sentence about the repeatability of its ranking, followed by one
        for each proxy; finally the caveats.
    """
    found = []
    for target in dict.fromkeys(proxy.target for proxy in report.proxies):
        proxies = [proxy for proxy in report.proxies if proxy.target == target]
        found += [_known(report, proxy) for proxy in proxies if proxy.pairs][:1]
        found += [_meaning(report, proxy) for proxy in proxies]
    found += _flags(report)
    if any(proxy.designs < FEW for proxy in report.proxies):
        found.append(f"With fewer than {FEW} designs the intervals of tau are not reliable.")
    if report.unknown_operators:
        named = ", ".join(f"{name} ({times})" for name, times in report.unknown_operators.items())
        found.append(f"Operators that are not counted in flops: {named}.")
    return found


def _flags(report: ProxyReport) -> Iterator[str]:
    """Count the flagged values of each measured metric."""
    for target in dict.fromkeys(proxy.target for proxy in report.proxies):
        values = [numbers[target] for numbers in report.numbers.values() if target in numbers]
        for name, (_, meaning) in FLAGS.items():
            count = sum(getattr(value, name) for value in values)
            if count:
                what = _title(report, target)
                yield f"{_upper(what)} of {count:,} of the {len(values):,} designs: {meaning}."


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
        f"{_upper(what)} decides the order of {proxy.pairs.decided:,} of {every:,} pairs of "
        f"{proxy.designs:,} designs; two measurements of it would correlate with tau "
        f"{proxy.ceiling:.2f}, an upper bound for proxies."
    )


def _meaning(report: ProxyReport, proxy: Proxy) -> str:
    name, what = _title(report, proxy.name), _title(report, proxy.target)
    s = "" if name.endswith("s") else "s"
    if proxy.constant:
        constant = _upper(_title(report, proxy.constant))
        verb = "are" if constant.endswith("s") else "is"
        return f"{constant} {verb} equal for all designs: there is no ranking to compare."
    pairs = proxy.pairs
    assert pairs is not None
    if not pairs.decided:
        return f"{_upper(name)} rank{s} designs whose order in {what} is undecided."
    undecided = f", and leave{s} {pairs.undecided:,} undecided" if pairs.undecided else ""
    agreed = proxy.agreement
    chance = agreed is not None and agreed.low <= 0
    return (
        f"{_upper(name)} misorder{s} {pairs.misordered:,} of {pairs.decided:,} pairs of designs "
        f"on this device ({proxy.misordered:.1%}){undecided}"
        f"{': not significantly better than chance' if chance else ''}."
    )


def _title(report: ProxyReport, name: str) -> str:
    return printable(title(name, report.front.units.get(name, "")))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
