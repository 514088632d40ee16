"""dsx bench: how fast dsx is on this device."""

from typing import Annotated

import typer

from dsx.cli._options import Format, FormatOption, JsonOption, chosen_format


def bench(
    name: Annotated[
        str | None, typer.Argument(help="A benchmark; left out: what there is.", metavar="NAME")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Try whether it runs; the numbers mean nothing.")
    ] = False,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Measure how fast dsx is on this device, on an otherwise idle machine."""
    from dsx.bench import Bench
    from dsx.lookup import find, names
    from dsx.report.listing import print_rows
    from dsx.report.progress import working

    if name is None:
        known = [{"bench": own, "measures": find(Bench, own).measures} for own in names(Bench)]
        print_rows(known, chosen_format(format, json), {}, "benchmarks")
        return
    found, how = find(Bench, name), chosen_format(format, json)
    with working("running the benchmark") as tell:
        rows = found.run(quick, tell)
    if how is Format.TABLE:
        for row in rows:
            typer.echo(found.say(row))
    else:
        print_rows(rows, how, {"bench": name, "quick": quick}, "results")
