"""Pictures (png, svg) and interactive pages (html), chosen by the file's suffix."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dsx.errors import DsxError, unknown
from dsx.report.view import axes
from dsx.study.front import Front
from dsx.study.proxies import ProxyReport


def plot(front: Front, path: str | Path, *, x: str | None = None, y: str | None = None) -> None:
    """Draw a front into a file.

    Args:
        front: What to draw.
        path: Where to; `.png`, `.svg` (for papers: the same bytes for the same front) or `.html`
            (one file that needs no network).
        x: A metric or `trial`; None for the first minimised objective.
        y: A metric or `trial`; None for the first maximised objective, or else the next one.

    Raises:
        DsxError: If the suffix or a metric is not known, or the file cannot be written.
    """
    across, up = axes(front, x, y)
    renderers: dict[str, Callable[[], bytes]] = {
        ".png": lambda: _picture(front, across, up, "png"),
        ".svg": lambda: _picture(front, across, up, "svg"),
        ".html": lambda: _page(front, across, up),
    }
    _write(Path(path), renderers)


def plot_proxies(report: ProxyReport, path: str | Path) -> None:
    """Draw what the counted numbers of a study are worth into a file.

    Args:
        report: What to draw.
        path: Where to; the same suffixes as for a front.

    Raises:
        DsxError: If the suffix is not known, or the file cannot be written.
    """
    renderers: dict[str, Callable[[], bytes]] = {
        ".png": lambda: _proxy_picture(report, "png"),
        ".svg": lambda: _proxy_picture(report, "svg"),
        ".html": lambda: _proxy_page(report),
    }
    _write(Path(path), renderers)


def _write(path: Path, renderers: Mapping[str, Callable[[], bytes]]) -> None:
    if path.suffix.lower() not in renderers:
        raise DsxError(f"{path}: {unknown('plot format', path.suffix, renderers)}")
    content = renderers[path.suffix.lower()]()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise DsxError(f"cannot write {path}: {error.strerror or error}") from error


def _picture(front: Front, x: str, y: str, suffix: str) -> bytes:
    # Matplotlib takes 0.7 s to import, which a table should not wait for.
    from dsx.report.figure import figure, render

    return render(figure(front, x, y), suffix)


def _page(front: Front, x: str, y: str) -> bytes:
    from dsx.report.page import page

    return page(front, x, y).encode()


def _proxy_picture(report: ProxyReport, suffix: str) -> bytes:
    from dsx.report.figure import render
    from dsx.report.proxy_figure import proxy_figure

    return render(proxy_figure(report), suffix)


def _proxy_page(report: ProxyReport) -> bytes:
    from dsx.report.proxy_page import proxy_page

    return proxy_page(report).encode()
