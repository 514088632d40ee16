"""dsx search: run or resume a study."""

import sys
from contextlib import redirect_stdout
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


SeedOption = Annotated[
    int, typer.Option(help="Of the draws.", envvar="DSX_SEED", min=0, max=2**32 - 1)
]


def search(
    space: Annotated[
        str, typer.Argument(help="A shipped space, or the path of a space file.")
    ] = "digits",
    trials: Annotated[
        int,
        typer.Option(
            help="Designs measured to the end, the baseline and earlier runs included.",
            envvar="DSX_TRIALS",
            min=1,
            max=1_000_000,
        ),
    ] = 60,
    study: Annotated[
        str | None, typer.Option(help="Name of the study.  [default: the space's name]")
    ] = None,
    seed: SeedOption = 0,
    timeout: Annotated[
        str | None,
        typer.Option(help="Begin no new trial after this time: 90s, 5m, 2h.", metavar="TIME"),
    ] = None,
    mix_devices: MixOption = False,
    adopt: AdoptOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    storage_timeout: StorageTimeoutOption = DEFAULT_STORAGE_TIMEOUT,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Explore a space: build, measure and compare designs, and show the best trade-offs."""
    limit = None if timeout is None else seconds("--timeout", timeout)
    patience = seconds("--storage-timeout", storage_timeout)
    from dsx.report.text import SearchProgress, working
    from dsx.search import search as search_space
    from dsx.space import load_space

    _check(storage, study)
    # What the network's own code prints is no result.
    with working("reading the space"), redirect_stdout(sys.stderr):
        loaded = load_space(space)
        notes = _writing_notes(loaded)
    _say_notes(loaded, notes)
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
        )
    # Code outside dsx is run only if it is named again.
    own = ["--space", space] if loaded.imports else []
    following = NextCommands(found.study, storage, own, mix_devices)
    _show(found, progress.flagged, following, chosen_format(format, json))


def _show(found: "Front", flagged: int, following: NextCommands, how: Format) -> None:
    from dsx.report.front import print_front, print_message

    if flagged or found.on_front or found.outcomes.failed:
        following.say_password()
    following.say_flagged(flagged)
    print_front(found, how, hints=following.hints(found))
    following.say_outcomes(found)
    if not found.on_front:
        advice = ": raise --trials, or loosen one of them" if found.entries else ""
        print_message(f"{found.why_empty}{advice}.")
    if not found.on_front or found.outcomes.all_failed:
        raise typer.Exit(1)
    following.say_next(found)


def _check(storage: str, study: str | None) -> None:
    """Check what needs no space, since loading one takes seconds."""
    from dsx.store.database import parse_url
    from dsx.store.studies import check_study_name

    parse_url(storage)
    if study is not None:
        check_study_name(study)


def _writing_notes(space: "SearchSpace") -> tuple[str, ...]:
    from dsx.export import writing_notes

    try:
        return writing_notes(space.network(fresh=True), space.data.image_shape)
    # The search itself checks the network and reports what is wrong with it.
    except DsxError:
        return ()


def _say_notes(space: "SearchSpace", notes: tuple[str, ...]) -> None:
    from dsx.measure.machine import crowded
    from dsx.report.front import print_message
    from dsx.report.space import unsupported_note, untraced_note

    if space.analysis.untraced is not None:
        print_message(untraced_note(space.analysis.untraced))
    for text in notes:
        print_message(f"note: {text}")
    if note := unsupported_note(space):
        print_message(note)
    if note := crowded(space.file.measure.threads):
        print_message(note)
