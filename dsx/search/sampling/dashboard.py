"""Dashboard: Optuna's web interface on the database of dsx."""

import importlib.util

from sqlalchemy import Engine

from dsx.errors import DsxError, WorkFailed, parameter
from dsx.search.sampling.study import opened


def check_dashboard() -> None:
    """Check that optuna-dashboard is installed.

    Raises:
        DsxError: If it is not.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise DsxError(
            "the package optuna-dashboard is not installed: pip install 'dsx[dashboard]'"
        )


def serve_dashboard(engine: Engine, port: int) -> None:
    """Serve the studies of a database to browsers on this machine until Ctrl-C.

    Args:
        engine: The database.
        port: TCP port on localhost.

    Raises:
        WorkFailed: If the port cannot be used.
    """
    from optuna_dashboard import run_server

    with opened(engine) as storage:
        try:
            run_server(storage, host="localhost", port=port)
        except (OSError, OverflowError) as error:
            raise WorkFailed(f"{parameter('port')}: {port} cannot be used: {error}") from error
