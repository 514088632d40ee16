"""dsx bench: benchmarks of dsx on this device."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsx.activity import Event, Kind
from dsx.cli._options import Format, FormatOption, JsonOption, chosen_format, path_option
from dsx.errors import DsxError, quoted
from dsx.trust import trust_paths

if TYPE_CHECKING:
    from dsx.bench import Bench, Row


def bench(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Name of the benchmark.  [default: list the benchmarks]", metavar="NAME"
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Only check that the benchmark runs; the values are meaningless."
        ),
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Measure all cases, which takes hours; each result is saved, and the same "
            "command resumes an interrupted benchmark (conv and search).",
        ),
    ] = False,
    page: Annotated[
        Path | None,
        path_option(
            "Markdown page for the results.  [default: docs/networks.md for the benchmark networks "
            "without --quick, else none]",
            "FILE",
        ),
    ] = None,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Run a benchmark of dsx on this device, which should be otherwise idle."""
    from dsx.bench import Bench, check_page, write_page
    from dsx.lookup import find, names
    from dsx.report.front import print_message
    from dsx.report.text import print_rows, working

    if name is None:
        known = [{"bench": own, "measures": find(Bench, own).measures} for own in names(Bench)]
        print_rows(known, chosen_format(format, json), {}, "benchmarks")
        return
    trust_paths([name])
    found, chosen = find(Bench, name), chosen_format(format, json)
    _check_extent(name, found, quick, full)
    file = _page_file(name, found, page, quick)
    if file is not None:
        check_page(name, file)
    with working("running the benchmark") as on_status:
        rows = _run(found, quick, full, on_status)
    if file is not None and found.page is not None:
        write_page(name, file, found.page.write(rows))
        print_message(f"Wrote {file}")
    if chosen is not Format.TABLE:
        print_rows(rows, chosen, {"bench": name, "quick": quick, "full": full}, "results")
    elif found.tables is not None:
        for number, (title, table) in enumerate(found.tables(rows).items()):
            typer.echo(f"\n{title}" if number else title)
            print_rows(table, chosen, {}, title)
    elif found.describe is not None:
        for row in rows:
            typer.echo(found.describe(row))


def _check_extent(name: str, bench: "Bench", quick: bool, full: bool) -> None:
    """Check whether a benchmark can be run in full.

    Raises:
        DsxError: If it has no further cases, or a quick trial is requested as well.
    """
    if full and bench.full is None:
        raise DsxError(f"--full: the benchmark {quoted(name)} has no further cases")
    if full and quick:
        raise DsxError("--full: not allowed with --quick, which measures no case")


def _run(
    bench: "Bench", quick: bool, full: bool, on_status: Callable[[Event], None]
) -> "Sequence[Row]":
    """Run a benchmark, in full or as a quick trial."""

    def report(step: str) -> None:
        on_status(Event(kind=Kind.BENCHMARKING, detail=step))

    if full and bench.full is not None:
        return bench.full(report)
    return bench.run(quick, report)


def _page_file(name: str, bench: "Bench", given: Path | None, quick: bool) -> Path | None:
    """Return the path of the page to write; None if there is none."""
    if given is not None and bench.page is None:
        raise DsxError(f"--page: the benchmark {quoted(name)} has no page")
    if given is not None or bench.page is None or quick:
        return given
    return Path(bench.page.file)
