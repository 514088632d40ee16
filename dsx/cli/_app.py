"""Application: the commands of dsx and the options that precede them."""

import os
import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from dsx.allocator import keep_freed_memory
from dsx.cli import (
    archive,
    bench,
    dashboard,
    doctor,
    export,
    ls,
    measure,
    pareto,
    profile,
    refine,
    search,
    show,
    space,
)
from dsx.cli._failing import failing_in_one_line
from dsx.cli._given import check_not_empty, safe_message
from dsx.errors import DsxError, WorkFailed, with_type

app = typer.Typer(
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass
class State:
    """The values of the options that precede the command.

    Args:
        debug: Whether errors are shown with their traceback.
    """

    debug: bool = False


def _version(wanted: bool) -> None:
    if wanted:
        import dsx

        typer.echo(f"dsx {dsx.__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="DSX_DEBUG", help="Show the traceback of an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Explore the design space of efficient convolutions, measured on this device."""
    context.obj.debug = debug
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    else:
        keep_freed_memory()


for command in (
    search.search,
    pareto.pareto,
    show.show,
    export.export,
    refine.refine,
    measure.measure,
    profile.profile,
    space.space,
    archive.archive,
    ls.ls,
    bench.bench,
    doctor.doctor,
    dashboard.dashboard,
):
    app.command()(failing_in_one_line(command))


def _switches() -> frozenset[str]:
    """Return the options of all commands that take no value."""
    group = typer.main.get_command(app)
    commands = [group, *getattr(group, "commands", {}).values()]
    options = [option for command in commands for option in command.params]
    switches = [
        each for each in options if isinstance(each, typer.core.TyperOption) and each.is_flag
    ]
    return frozenset(name for each in switches for name in (*each.opts, *each.secondary_opts))


def run_command(state: State) -> int:
    """Run the command line of this process.

    Args:
        state: State that receives the values of the options before the command.

    Returns:
        The exit code.

    Raises:
        DsxError: If the command line is invalid, or the command fails.
        BrokenPipeError: If the reader of the output has closed the pipe.
    """
    check_not_empty(sys.argv[1:], os.environ, _switches)
    try:
        return app(obj=state, prog_name="dsx", standalone_mode=False) or 0
    except SystemExit as error:
        # typer and rich end this way if the reader of their output has closed the pipe.
        if isinstance(error.__context__, BrokenPipeError):
            raise BrokenPipeError from error
        # Code of the user must not end dsx as if the work were done.
        raise WorkFailed(f"code outside dsx raised {with_type(error)}") from error
    except typer.TyperException as error:
        raise DsxError(safe_message(error.format_message(), sys.argv[1:])) from error
