"""Figures (png, svg) and interactive pages (html), selected by the suffix of the file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dsx.analysis import Front
from dsx.errors import DsxError, parameter, unknown, unwritable_in_one_line
from dsx.files import check_replaceable, files, is_signed_file, signed, write_own
from dsx.report.front.view import axes
from dsx.store.studies import ProxyReport

SUFFIXES = ".png", ".svg", ".html"


def check_plot(path: str | Path) -> None:
    """Check that a plot can be written, before time is spent on it.

    Args:
        path: Path of the file.

    Raises:
        DsxError: If the suffix is unknown, the folder cannot be written, or the file exists and
            was not written by dsx or was changed since.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DsxError(f"{path}: {unknown('plot format', path.suffix, SUFFIXES)}")
    with unwritable_in_one_line(parameter("plot"), path):
        files.check_writable(path.parent)
        check_replaceable(path, is_signed_file)


def plot(front: Front, path: str | Path, *, x: str | None = None, y: str | None = None) -> None:
    """Plot a front into a file.

    Args:
        front: Front of a study.
        path: Path of the file: `.png`, `.svg` (reproducible to the byte) or `.html` (one file that
            works offline).
        x: Metric on the horizontal axis, or `trial`; None for the first minimised objective.
        y: Metric on the vertical axis, or `trial`; None for the first maximised objective, or else
            the next one.

    Raises:
        DsxError: If the suffix or a metric is unknown, or the file cannot be written or replaced.
    """
    x_metric, y_metric = axes(front, x, y)
    renderers: dict[str, Callable[[], bytes]] = {
        ".png": lambda: _figure(front, x_metric, y_metric, "png"),
        ".svg": lambda: _figure(front, x_metric, y_metric, "svg"),
        ".html": lambda: _page(front, x_metric, y_metric),
    }
    _write(Path(path), renderers)


def svg(front: Front) -> bytes:
    """Plot a front over its default axes.

    Args:
        front: Front of a study.

    Returns:
        The content of an SVG file.
    """
    x_metric, y_metric = axes(front, None, None)
    return signed(_figure(front, x_metric, y_metric, "svg"))


def plot_proxies(report: ProxyReport, path: str | Path) -> None:
    """Plot the measured metrics of a study over their proxies into a file.

    Args:
        report: Rank correlations of the study.
        path: Path of the file, with the suffixes of `plot`.

    Raises:
        DsxError: If the suffix is unknown, or the file cannot be written or replaced.
    """
    renderers: dict[str, Callable[[], bytes]] = {
        ".png": lambda: _proxy_figure(report, "png"),
        ".svg": lambda: _proxy_figure(report, "svg"),
        ".html": lambda: _proxy_page(report),
    }
    _write(Path(path), renderers)


def _write(path: Path, renderers: Mapping[str, Callable[[], bytes]]) -> None:
    check_plot(path)
    content = signed(renderers[path.suffix.lower()]())
    with unwritable_in_one_line(parameter("plot"), path):
        write_own(path, content, is_signed_file)


def _figure(front: Front, x: str, y: str, suffix: str) -> bytes:
    # Imported here, because importing Matplotlib takes 0.7 s.
    from dsx.report.front.figure import figure, render

    return render(figure(front, x, y), suffix)


def _page(front: Front, x: str, y: str) -> bytes:
    from dsx.report.front.page import page

    return page(front, x, y).encode()


def _proxy_figure(report: ProxyReport, suffix: str) -> bytes:
    from dsx.report.front.figure import render
    from dsx.report.proxies.figure import proxy_figure

    return render(proxy_figure(report), suffix)


def _proxy_page(report: ProxyReport) -> bytes:
    from dsx.report.proxies.page import proxy_page

    return proxy_page(report).encode()
