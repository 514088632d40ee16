"""dsx pareto: the front of a study."""

from dataclasses import replace
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
    OwnSpaceOption,
    StorageOption,
    StudyOrFolderArgument,
    TrustOption,
    chosen_format,
    path_option,
    permitted_space,
)
from dsx.errors import DsxError

if TYPE_CHECKING:
    from dsx.analysis import Front
    from dsx.search import ModelQuality
    from dsx.store.studies import ProxyReport

ProxiesOption = Annotated[
    bool,
    typer.Option(
        "--proxies",
        help="Add the rank correlation of params, FLOPs and bits with the latency measured on "
        "this device; with --plot FILE, also write its plot to FILE with -proxies in its name.",
    ),
]
ModelsOption = Annotated[
    bool,
    typer.Option(
        "--models",
        help="Add how well the models of the search predict designs that they do not know; with "
        "--plot FILE.html, also on the page.",
    ),
]


def pareto(
    study: StudyOrFolderArgument = None,
    plot: Annotated[
        Path | None,
        path_option("Plot file to write: .html (interactive), .png or .svg.", "FILE"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List the whole front, possible members and all metrics.")
    ] = False,
    x: Annotated[
        str | None, typer.Option(help="Metric on the horizontal axis.", metavar="METRIC")
    ] = None,
    y: Annotated[
        str | None, typer.Option(help="Metric on the vertical axis.", metavar="METRIC")
    ] = None,
    mix_devices: MixOption = False,
    proxies: ProxiesOption = False,
    models: ModelsOption = False,
    space: OwnSpaceOption = None,
    trust: TrustOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show the front of a study: summary, table and plot. Nothing is measured."""
    from dsx.report.front import axes, print_front, print_message
    from dsx.report.models import model_conditions, models_document, print_models
    from dsx.report.proxies import print_proxies, proxies_document
    from dsx.report.studies import read_pareto
    from dsx.report.text import working

    chosen = chosen_format(format, json)
    _check_writable(plot, proxies)
    with working("reading the study"):
        front, report = read_pareto(study, storage, mix_devices, proxies)
        found = _models(study, storage, space, trust) if models else []
    front = replace(front, conditions={**front.conditions, **model_conditions(found)})
    # Unknown metrics are reported before anything is written or printed.
    axes(front, x, y)
    with working("writing plots"):
        written = _write(front, report, plot, x, y)
    print_front(
        front,
        chosen,
        complete=everything,
        hints=NextCommands(study or front.study, storage, mix_devices=mix_devices).hints(front),
        plotted=True,
        x=x,
        y=y,
        sections={
            **({} if report is None else {"proxies": proxies_document(report)}),
            **({"models": models_document(found)} if models else {}),
        },
    )
    if report is not None and chosen is not Format.JSON:
        typer.echo()
        print_proxies(report, chosen)
    if found and chosen is not Format.JSON:
        typer.echo()
        print_models(found, chosen)
    if written:
        print_message(f"Wrote {', '.join(str(file) for file in written)}")
    end(front, chosen)


def _models(
    study: str | None, storage: str, space: str | None, trust: bool
) -> "list[ModelQuality]":
    """Compare the models of a study with its measurements."""
    from dsx.report.studies import is_folder
    from dsx.search import model_quality

    if study is not None and is_folder(study):
        raise DsxError("--models: not possible for an archived study (give a study of a database)")
    given = permitted_space(space, trust)
    return model_quality(study, storage=storage, space=given, trust=trust)


def _proxies_plot(plot: Path) -> Path:
    """Return the path of the plot of the proxies: "front-proxies.html" for "front.html"."""
    return plot.with_stem(f"{plot.stem}-proxies")


def _check_writable(plot: Path | None, proxies: bool) -> None:
    """Check that the plots can be written, before anything is read."""
    if plot is not None:
        from dsx.report import check_plot

        check_plot(plot)
        if proxies:
            check_plot(_proxies_plot(plot))


def _write(
    front: "Front", report: "ProxyReport | None", file: Path | None, x: str | None, y: str | None
) -> list[Path]:
    from dsx.report import plot, plot_proxies

    if file is None:
        return []
    plot(front, file, x=x, y=y)
    if report is None:
        return [file]
    plot_proxies(report, _proxies_plot(file))
    return [file, _proxies_plot(file)]
