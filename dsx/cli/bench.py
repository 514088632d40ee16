"""dsx bench: benchmarks of dsx on this device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsx.activity import Event, Kind
from dsx.cli._options import Format, FormatOption, JsonOption, chosen_format, path_option
from dsx.errors import DsxError, quoted

if TYPE_CHECKING:
    from dsx.bench import Bench


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
    found, chosen = find(Bench, name), chosen_format(format, json)
    file = _page_file(name, found, page, quick)
    if file is not None:
        check_page(name, file)
    with working("running the benchmark") as on_status:
        rows = found.run(quick, lambda step: on_status(Event(kind=Kind.BENCHMARKING, detail=step)))
    if file is not None and found.page is not None:
        write_page(name, file, found.page.write(rows))
        print_message(f"Wrote {file}")
    if chosen is Format.TABLE:
        for row in rows:
            typer.echo(found.describe(row))
    else:
        print_rows(rows, chosen, {"bench": name, "quick": quick}, "results")


def _page_file(name: str, bench: "Bench", given: Path | None, quick: bool) -> Path | None:
    """Return the path of the page to write; None if there is none."""
    if given is not None and bench.page is None:
        raise DsxError(f"--page: the benchmark {quoted(name)} has no page")
    if given is not None or bench.page is None or quick:
        return given
    return Path(bench.page.file)
