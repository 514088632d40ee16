"""Plots in three formats, and their errors."""

import re
from pathlib import Path

import pytest

from dsx.analysis.front import Front
from dsx.errors import DsxError
from dsx.report.plots import check_plot, plot, plot_proxies
from dsx.store.studies.proxies import ProxyReport


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".png", b"\x89PNG\r\n"), (".SVG", b"<?xml"), (".html", b"<!doctype html>")],
)
def test_formats(two: Front, tmp_path: Path, suffix: str, start: bytes) -> None:
    path = tmp_path / f"front{suffix}"
    plot(two, str(path))
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_a_plot_of_dsx_is_replaced_unless_it_was_changed(
    two: Front, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"front{suffix}"
    plot(two, path)
    once = path.read_bytes()
    plot(two, path)
    assert path.read_bytes() == once
    path.write_bytes(changed := once.replace(b"e", b"o", 1))
    problem = r"front.* exists, and dsx did not write it or it was changed since"
    with pytest.raises(DsxError, match=problem):
        check_plot(path)
    with pytest.raises(DsxError, match=problem):
        plot(two, path)
    assert path.read_bytes() == changed


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("front.pngg", r"no plot format called '.pngg' \(allowed: .html, .png, .svg\).*'.png'"),
        ("front", "no plot format called ''"),
    ],
)
def test_an_unknown_suffix_names_the_known_ones(
    two: Front, tmp_path: Path, name: str, complaint: str
) -> None:
    with pytest.raises(DsxError, match=complaint):
        plot(two, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_path_is_one_line(two: Front, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "front.svg"
    problem = f"^plot: '{re.escape(str(path))}' cannot be written: No such file or directory$"
    with pytest.raises(DsxError, match=problem):
        plot(two, path)


def test_an_unknown_metric_is_rejected(two: Front, tmp_path: Path) -> None:
    with pytest.raises(DsxError, match=r"no metric called 'flop' .* mean 'flops'"):
        plot(two, tmp_path / "front.png", x="flop")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".png", b"\x89PNG\r\n"), (".SVG", b"<?xml"), (".html", b"<!doctype html>")],
)
def test_proxies_have_the_same_formats(
    proxies: ProxyReport, tmp_path: Path, suffix: str, start: bytes
) -> None:
    path = tmp_path / f"proxies{suffix}"
    plot_proxies(proxies, path)
    assert path.read_bytes().startswith(start)


def test_proxies_in_an_unknown_format_are_rejected(proxies: ProxyReport, tmp_path: Path) -> None:
    with pytest.raises(DsxError, match=r"no plot format called '.pgn' .* mean '.png'"):
        plot_proxies(proxies, tmp_path / "proxies.pgn")
    assert not list(tmp_path.iterdir())
