"""dsx space: the contents of a search space, before any trial."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsx.cli._options import Format, FormatOption, JsonOption, chosen_format, path_option
from dsx.cli._resume_hint import command_line
from dsx.errors import DataMissing, DsxError, quoted

if TYPE_CHECKING:
    from dsx.data import Contents
    from dsx.space import SearchSpace


def space(
    space: Annotated[
        str | None,
        typer.Argument(
            help="Search space: name of a shipped space, or path of a space file.  "
            "[default: digits]",
            metavar="SPACE",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Network whose slots are listed, instead of a space: "
            "package.module:callable, or the name of a network of dsx.",
            metavar="MODEL",
        ),
    ] = None,
    model_args: Annotated[
        str,
        typer.Option(help="Keyword arguments of the network, as YAML.", metavar="'{NAME: VALUE}'"),
    ] = "{}",
    input: Annotated[
        str | None,
        typer.Option(
            help="Shape of an input image, channels x rows x columns, such as 3x224x224.",
            metavar="SHAPE",
        ),
    ] = None,
    write: Annotated[
        Path | None,
        path_option(
            "Space file to write: a copy of the space, or a draft for the network.", "FILE"
        ),
    ] = None,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show a space: slots, options, size, range of costs, and whether constraints can be met."""
    chosen = chosen_format(format, json)
    if model is not None:
        # Both name the network that is shown.
        if space is not None:
            raise DsxError(
                f"--model: the network is given twice: by {quoted(model)} and by the space "
                f"{quoted(space)}"
            )
        _show_model(model, model_args, input, write, chosen)
        return
    if input is not None or model_args != "{}":
        raise DsxError("--input and --model-args: need the network that they describe (--model)")
    _show_space(space or "digits", write, chosen)


def _show_space(name: str, file: Path | None, format: Format) -> None:
    from dsx.cli._draft import check_file, write
    from dsx.export import writing_notes
    from dsx.measure.backends import forms_note
    from dsx.measure.metrics.flops import space_notes
    from dsx.report.front import print_message
    from dsx.report.space import print_space
    from dsx.report.text import working
    from dsx.search import find_metrics, unmet_constraints
    from dsx.space import load_space
    from dsx.space.probe import probe

    if file is not None:
        check_file(file)
    # Output of the network's own code is not a result.
    with working("reading the space"), redirect_stdout(sys.stderr):
        loaded = load_space(name)
        find_metrics(loaded)
        problems = unmet_constraints(loaded)
        notes = (*loaded.notes, *probe(loaded), *space_notes(loaded))
        notes += writing_notes(loaded.network(fresh=True), loaded.data.image_shape)
        notes += (note,) if (note := forms_note(loaded.file.measure)) else ()
    if file is not None:
        write(loaded.source.text, file)
    contents, data_notes = _inspected(loaded)
    shown_notes = notes if format == "table" else (*notes, *data_notes)
    print_space(loaded, problems, format, shown_notes, contents)
    for note in data_notes:
        print_message(note)
    if file is not None:
        print_message(f"Wrote {file}", f"Next: {command_line('search', str(file))}")
    if problems:
        raise typer.Exit(1)


def _inspected(space: "SearchSpace") -> "tuple[Contents | None, Sequence[str]]":
    """Read the contents of the data and notes about the files, without decoding images."""
    from dsx.report.text import working

    try:
        with working("checking the images"), redirect_stdout(sys.stderr):
            contents = None if space.data.contents is None else space.data.contents()
            return contents, space.data.inspect()
    except DataMissing as error:
        # A space can be shown without its data, which only a search requires.
        return None, [f"The data cannot be checked: {error}"]
    except DsxError as error:
        key = "data_args" if space.file.data_args else "data"
        raise space.source.error((key,), str(error)) from error


def _show_model(
    model: str, arguments: str, shape: str | None, file: Path | None, format: Format
) -> None:
    from dsx.cli._draft import check_file, draft, write
    from dsx.export import writing_notes
    from dsx.measure.metrics.flops import network_notes
    from dsx.report.front import print_message
    from dsx.report.space import print_analysis
    from dsx.report.text import working

    if file is not None:
        check_file(file)
    with working("listing the slots of the network"), redirect_stdout(sys.stderr):
        drafted = draft(model, arguments, shape)
        notes = (*drafted.notes, *network_notes(drafted.network, drafted.analysis))
        notes += writing_notes(drafted.network, drafted.analysis.input_shape)
    if file is not None:
        write(drafted.text, file)
    print_analysis(model, drafted.analysis, format, notes)
    if file is not None:
        print_message(f"Wrote {file}", f"Next: {command_line('space', str(file))}")
