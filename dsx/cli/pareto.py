"""dsx pareto: the front of a study."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsx.cli._duration import seconds
from dsx.cli._options import (
    DEFAULT_STORAGE,
    DEFAULT_STORAGE_TIMEOUT,
    Format,
    FormatOption,
    JsonOption,
    MixOption,
    OwnSpaceOption,
    StorageOption,
    StorageTimeoutOption,
    StudyArgument,
    TrustOption,
    chosen_format,
    path_option,
    vouched,
)
from dsx.errors import DsxError

if TYPE_CHECKING:
    from dsx.analysis import Front

SettleOption = Annotated[
    str | None,
    typer.Option(
        help="First measure contested designs again, for at most this time: 90s, 5m, 2h.",
        metavar="TIME",
    ),
]
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
    save: Annotated[
        Path | None,
        path_option("Also write the study as a folder worth keeping.", "FOLDER"),
    ] = None,
    x: Annotated[str | None, typer.Option(help="Metric along the plot.")] = None,
    y: Annotated[str | None, typer.Option(help="Metric up the plot.")] = None,
    mix_devices: MixOption = False,
    settle: SettleOption = None,
    space: OwnSpaceOption = None,
    trust: TrustOption = False,
    proxies: ProxiesOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    storage_timeout: StorageTimeoutOption = DEFAULT_STORAGE_TIMEOUT,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show the trade-offs of a study: the front as a table, a plot, and which designs to pick."""
    patience = seconds("--storage-timeout", storage_timeout)
    if proxies:
        others: dict[str, object] = {"--settle": settle, "--save": save, "--x": x, "--y": y}
        others |= {"--mix-devices": mix_devices, "--space": space, "--trust": trust}
        _show_proxies(study, storage, plot, chosen_format(format, json), others)
        return
    limit = None if settle is None else seconds("--settle", settle)
    if limit is None and (space is not None or trust):
        raise DsxError("--space and --trust: are about what --settle runs; without it nothing is")
    from dsx.report.text import working

    _check_writable(plot, save)
    from dsx.report.front import axes, print_front, print_message

    found = _read(study, storage, mix_devices)
    # Before anything is measured, written or shown.
    axes(found, x, y)
    if limit is not None:
        # The newest study may be another one by the end.
        _settle(found.study, limit, storage, patience, space, trust)
        found = _read(found.study, storage, mix_devices)
    with working("writing plots and tables"):
        written = _write(found, plot, x, y)
        if save is not None:
            from dsx.report.studies import save_study

            written += save_study(storage, found.study, save, mix_devices)
    print_front(found, chosen_format(format, json), plotted=True, x=x, y=y)
    if written:
        print_message(f"Wrote {', '.join(str(file) for file in written)}")
    _end(found, chosen_format(format, json))


def _end(front: "Front", how: Format) -> None:
    """Print on stderr what the results do not say, and end as the study did.

    Raises:
        typer.Exit: If the front is empty, or all candidates failed.
    """
    from dsx.report.front import print_message
    from dsx.report.text import outcome_notes

    if how == Format.CSV or front.outcomes.all_failed:
        for note in outcome_notes(front.outcomes):
            print_message(note)
    if not front.on_front:
        print_message(f"{front.why_empty}.")
    if not front.on_front or front.outcomes.all_failed:
        raise typer.Exit(1)


def _read(study: str | None, storage: str, mix_devices: bool) -> "Front":
    from dsx.report.text import working
    from dsx.store.studies import front

    with working("reading the study"):
        return front(study, storage=storage, mix_devices=mix_devices)


def _check_writable(plot: Path | None, save: Path | None) -> None:
    """Check every file that is asked for before anything is measured or written."""
    if plot is not None:
        from dsx.report import check_plot

        check_plot(plot)
    if save is not None:
        from dsx.report.studies import check_folder

        check_folder(save)


def _write(front: "Front", file: Path | None, x: str | None, y: str | None) -> list[Path]:
    from dsx.report import plot

    if file is None:
        return []
    plot(front, file, x=x, y=y)
    return [file]


def _settle(
    study: str, limit: float, storage: str, patience: float, space: str | None, trust: bool
) -> None:
    from dsx.report.front import print_message, said
    from dsx.report.text import working
    from dsx.search import settle

    with working("reading the study") as doing, redirect_stdout(sys.stderr):
        settled = settle(
            study,
            limit,
            storage=storage,
            storage_timeout=patience,
            doing=doing,
            space=vouched(space, trust),
            trust=trust,
        )
    print_message(*said(settled))


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
    _check_writable(plot, None)
    with working("comparing counted metrics with latency"):
        report = load_proxies(open_database(storage, create=False), study)
        if plot is not None:
            plot_proxies(report, plot)
    print_proxies(report, format)
    if plot is not None:
        print_message(f"Wrote {plot}")
