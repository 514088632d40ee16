"""dsx dashboard: Optuna's web interface on the database of dsx."""

from typing import Annotated

import typer

from dsx.cli._options import DEFAULT_STORAGE, StorageOption

PortOption = Annotated[
    int, typer.Option(help="TCP port on localhost.", min=1, max=65535, metavar="PORT")
]


def dashboard(port: PortOption = 8080, storage: StorageOption = DEFAULT_STORAGE) -> None:
    """Show the studies of a database in a browser with optuna-dashboard, until Ctrl-C."""
    from dsx.report.front import print_message
    from dsx.search.sampling import check_dashboard, serve_dashboard
    from dsx.store.database import display_url, open_database, parse_url

    check_dashboard()
    # SQLite is opened for reading only, because dsx treats changes by other programs as damage.
    engine = open_database(storage, create=False)
    print_message(f"{display_url(parse_url(storage))} at http://localhost:{port}/ (Ctrl-C ends it)")
    serve_dashboard(engine, port)
