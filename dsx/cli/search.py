"""dsx search: run or resume a study."""

import sys
from contextlib import redirect_stdout
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dsx.cli._duration import seconds
from dsx.cli._next import NextCommands
from dsx.cli._options import (
    DEFAULT_STORAGE,
    DEFAULT_STORAGE_TIMEOUT,
    AdoptOption,
    Format,
    FormatOption,
    JsonOption,
    MixOption,
    StorageOption,
    StorageTimeoutOption,
    chosen_format,
)
from dsx.errors import DsxError

if TYPE_CHECKING:
    from dsx.analysis import Front
    from dsx.space import SearchSpace


class Sampler(StrEnum):
    """Samplers of a search."""

    SCREENING = "screening"
    TPE = "tpe"
    NSGA2 = "nsga2"
    RANDOM = "random"


SamplerOption = Annotated[
    Sampler | None,
    typer.Option(
        help="How designs are selected: by models (screening), or by a sampler of Optuna."
        "  [default: screening where an objective is known in advance, else tpe]",
        envvar="DSX_SAMPLER",
    ),
]
SeedOption = Annotated[
    int, typer.Option(help="Random seed of the sampler.", envvar="DSX_SEED", min=0, max=2**32 - 1)
]


def search(
    space: Annotated[
        str, typer.Argument(help="Search space: name of a shipped space, or path of a space file.")
    ] = "digits",
    trials: Annotated[
        int,
        typer.Option(
            help="Number of measured designs, including the baseline and previous runs.",
            envvar="DSX_TRIALS",
            min=1,
            max=1_000_000,
        ),
    ] = 60,
    study: Annotated[
        str | None, typer.Option(help="Name of the study.  [default: name of the space]")
    ] = None,
    seed: SeedOption = 0,
    sampler: SamplerOption = None,
    timeout: Annotated[
        str | None,
        typer.Option(help="Time after which no new trial starts: 90s, 5m, 2h.", metavar="TIME"),
    ] = None,
    mix_devices: MixOption = False,
    adopt: AdoptOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    storage_timeout: StorageTimeoutOption = DEFAULT_STORAGE_TIMEOUT,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Run or resume a study: sample, measure and train designs, and show the Pareto front."""
    limit = None if timeout is None else seconds("--timeout", timeout)
    patience = seconds("--storage-timeout", storage_timeout)
    from dsx.report.text import SearchProgress, working
    from dsx.search import search as search_space
    from dsx.space import load_space

    _check(storage, study)
    # Output of the network's own code is not a result.
    with working("reading the space"), redirect_stdout(sys.stderr):
        loaded = load_space(space)
        notes = _writing_notes(loaded)
    _print_notes(loaded, notes)
    with SearchProgress() as progress, redirect_stdout(sys.stderr):
        found = search_space(
            loaded,
            study=study,
            trials=trials,
            seed=seed,
            storage=storage,
            timeout=limit,
            mix_devices=mix_devices,
            storage_timeout=patience,
            adopt=adopt,
            report=progress.report,
            sampler=sampler,
        )
    # Code outside dsx runs only if the command permits it again.
    own = ["--space", space] if loaded.imports else []
    commands = NextCommands(found.study, storage, own, mix_devices)
    _show(found, progress.flagged, commands, chosen_format(format, json))


def _show(found: "Front", flagged: int, commands: NextCommands, chosen: Format) -> None:
    from dsx.report.front import print_front, print_message

    if flagged or found.on_front or found.outcomes.failed:
        commands.print_password_note()
    commands.print_flagged(flagged)
    print_front(found, chosen, hints=commands.hints(found))
    commands.print_outcomes(found)
    if not found.on_front:
        advice = ": increase --trials, or relax a constraint" if found.entries else ""
        print_message(f"{found.empty_reason}{advice}.")
    if not found.on_front or found.outcomes.all_failed:
        raise typer.Exit(1)
    commands.print_next(found)


def _check(storage: str, study: str | None) -> None:
    """Check the options that do not depend on the space, because loading it takes seconds."""
    from dsx.store.database import parse_url
    from dsx.store.studies import check_study_name

    parse_url(storage)
    if study is not None:
        check_study_name(study)


def _writing_notes(space: "SearchSpace") -> tuple[str, ...]:
    from dsx.export import writing_notes

    try:
        return writing_notes(space.network(fresh=True), space.data.image_shape)
    # The search itself checks the network and reports the error.
    except DsxError:
        return ()


def _print_notes(space: "SearchSpace", notes: tuple[str, ...]) -> None:
    from dsx.measure.machine import crowded
    from dsx.report.front import print_message
    from dsx.report.space import unsupported_note, untraced_note

    if space.analysis.untraced is not None:
        print_message(untraced_note(space.analysis.untraced))
    for note in notes:
        print_message(f"note: {note}")
    if omitted := unsupported_note(space):
        print_message(omitted)
    if problem := crowded(space.file.measure.threads):
        print_message(problem)
