"""dsx pareto: the front of a study."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsx.cli._ending import end
from dsx.cli._next import NextCommands
from dsx.cli._options import (
    DEFAULT_STORAGE,
    Format,
    FormatOption,
    JsonOption,
    MixOption,
    StorageOption,
    StudyArgument,
    chosen_format,
    path_option,
)
from dsx.errors import DsxError

if TYPE_CHECKING:
    from dsx.analysis import Front

ProxiesOption = Annotated[
    bool,
    typer.Option(
        "--proxies", help="Show instead how well params, flops and bits stand for latency here."
    ),
]


def pareto(
    study: StudyArgument = None,
    plot: Annotated[
        Path | None,
        path_option("Also write a picture: front.html, .png or .svg.", "FILE"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List the whole front, possible members and all metrics.")
    ] = False,
    x: Annotated[str | None, typer.Option(help="Metric along the plot.")] = None,
    y: Annotated[str | None, typer.Option(help="Metric up the plot.")] = None,
    mix_devices: MixOption = False,
    proxies: ProxiesOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show the trade-offs of a study: the front as a table, a plot, and which designs to pick."""
    how = chosen_format(format, json)
    if proxies:
        _show_proxies(study, storage, plot, how, {"--x": x, "--y": y, "--mix-devices": mix_devices})
        return
    from dsx.report.text import working

    _check_writable(plot)
    from dsx.report.front import axes, print_front, print_message

    found = _read(study, storage, mix_devices)
    # Before anything is written or shown.
    axes(found, x, y)
    with working("writing plots"):
        written = _write(found, plot, x, y)
    following = NextCommands(study or found.study, storage, mix_devices=mix_devices)
    print_front(
        found, how, complete=everything, hints=following.hints(found), plotted=True, x=x, y=y
    )
    if written:
        print_message(f"Wrote {', '.join(str(file) for file in written)}")
    end(found, how)


def _read(study: str | None, storage: str, mix_devices: bool) -> "Front":
    from dsx.report.text import working
    from dsx.store.studies import front

    with working("reading the study"):
        return front(study, storage=storage, mix_devices=mix_devices)


def _check_writable(plot: Path | None) -> None:
    """Check the plot that is asked for before anything is read or written."""
    if plot is not None:
        from dsx.report import check_plot

        check_plot(plot)


def _write(front: "Front", file: Path | None, x: str | None, y: str | None) -> list[Path]:
    from dsx.report import plot

    if file is None:
        return []
    plot(front, file, x=x, y=y)
    return [file]


def _show_proxies(
    study: str | None, storage: str, plot: Path | None, format: str, others: Mapping[str, object]
) -> None:
    from dsx.report import plot_proxies
    from dsx.report.front import print_message
    from dsx.report.proxies import print_proxies
    from dsx.report.text import working
    from dsx.store.database import open_database
    from dsx.store.studies import load_proxies

    given = [name for name, value in others.items() if value]
    if given:
        raise DsxError(f"--proxies: does not go with {given[0]} (allowed: --plot, --format)")
    _check_writable(plot)
    with working("comparing counted metrics with latency"):
        report = load_proxies(open_database(storage, create=False), study)
        if plot is not None:
            plot_proxies(report, plot)
    print_proxies(report, format)
    if plot is not None:
        print_message(f"Wrote {plot}")
