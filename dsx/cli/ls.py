"""dsx ls: the studies of a database."""

from dsx.cli._options import (
    DEFAULT_STORAGE,
    Format,
    FormatOption,
    JsonOption,
    StorageOption,
    chosen_format,
)


def ls(
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """List the studies of a database."""
    from dsx.report.listing import print_rows
    from dsx.study.database import open_database, parse_url, shown
    from dsx.study.studies import list_studies

    rows = [
        {
            "study": line.name,
            "space": line.space,
            "designs": line.complete,
            "draws": line.draws,
            "begun": f"{line.begun_at:%Y-%m-%dT%H:%MZ}",
            "running": line.running,
        }
        for line in list_studies(open_database(storage, create=False))
    ]
    about = {"storage": shown(parse_url(storage))}
    print_rows(rows, chosen_format(format, json), about, "studies")
