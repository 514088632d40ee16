"""dsx doctor: what this machine offers."""

from dsx.cli._options import (
    DEFAULT_STORAGE,
    Format,
    FormatOption,
    JsonOption,
    StorageOption,
    chosen_format,
)


def doctor(
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show what this machine offers: device, threads, packages, database."""
    from dsx.report.listing import print_rows
    from dsx.study.doctor import examine

    rows = [{"what": what, "finding": found} for what, found in examine(storage).items()]
    print_rows(rows, chosen_format(format, json), {}, "findings")
