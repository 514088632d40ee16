"""Pictures (png, svg) and interactive pages (html), chosen by the file's suffix."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dsx.analysis import Front
from dsx.errors import DsxError, parameter, unknown, unwritable_in_one_line
from dsx.files import check_replaceable, files, is_signed_file, signed, write_own
from dsx.report.front.view import axes
from dsx.store.studies import ProxyReport

SUFFIXES = ".png", ".svg", ".html"


def check_plot(path: str | Path) -> None:
    """Check that a plot can be written, before work is done for it.

    Args:
        path: The file.

    Raises:
        DsxError: If the suffix is not known, the folder cannot be written, or a file is there that
            dsx did not write or that was changed since.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DsxError(f"{path}: {unknown('plot format', path.suffix, SUFFIXES)}")
    with unwritable_in_one_line(parameter("plot"), path):
        files.check_writable(path.parent)
        check_replaceable(path, is_signed_file)


def plot(front: Front, path: str | Path, *, x: str | None = None, y: str | None = None) -> None:
    """Draw a front into a file.

    Args:
        front: What to draw.
        path: Where to; `.png`, `.svg` (for papers: the same bytes for the same front) or `.html`
            (one file that needs no network).
        x: A metric or `trial`; None for the first minimised objective.
        y: A metric or `trial`; None for the first maximised objective, or else the next one.

    Raises:
        DsxError: If the suffix or a metric is not known, or the file cannot be written or must not
            be replaced.
    """
    across, up = axes(front, x, y)
    renderers: dict[str, Callable[[], bytes]] = {
        ".png": lambda: _picture(front, across, up, "png"),
        ".svg": lambda: _picture(front, across, up, "svg"),
        ".html": lambda: _page(front, across, up),
    }
    _write(Path(path), renderers)


def svg(front: Front) -> bytes:
    """Draw a front over its first objectives, as `plot` does.

    Args:
        front: The front.

    Returns:
        The content of an SVG file.
    """
    across, up = axes(front, None, None)
    return signed(_picture(front, across, up, "svg"))


def plot_proxies(report: ProxyReport, path: str | Path) -> None:
    """Draw what the counted numbers of a study are worth into a file.

    Args:
        report: What to draw.
        path: Where to; the same suffixes as for a front.

    Raises:
        DsxError: If the suffix is not known, or the file cannot be written or must not be replaced.
    """
    renderers: dict[str, Callable[[], bytes]] = {
        ".png": lambda: _proxy_picture(report, "png"),
        ".svg": lambda: _proxy_picture(report, "svg"),
        ".html": lambda: _proxy_page(report),
    }
    _write(Path(path), renderers)


def _write(path: Path, renderers: Mapping[str, Callable[[], bytes]]) -> None:
    check_plot(path)
    content = signed(renderers[path.suffix.lower()]())
    with unwritable_in_one_line(parameter("plot"), path):
        write_own(path, content, is_signed_file)


def _picture(front: Front, x: str, y: str, suffix: str) -> bytes:
    # Matplotlib takes 0.7 s to import, which a table should not wait for.
    from dsx.report.front.figure import figure, render

    return render(figure(front, x, y), suffix)


def _page(front: Front, x: str, y: str) -> bytes:
    from dsx.report.front.page import page

    return page(front, x, y).encode()


def _proxy_picture(report: ProxyReport, suffix: str) -> bytes:
    from dsx.report.front.figure import render
    from dsx.report.proxies.figure import proxy_figure

    return render(proxy_figure(report), suffix)


def _proxy_page(report: ProxyReport) -> bytes:
    from dsx.report.proxies.page import proxy_page

    return proxy_page(report).encode()
