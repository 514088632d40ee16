"""Doctor: what this machine and this database offer a study."""

import importlib.util
import os
import shutil

import torch

import dsx
from dsx.errors import StorageError
from dsx.measure import this_device
from dsx.space import shipped_spaces
from dsx.study.database import open_database, parse_url, shown
from dsx.study.studies import list_studies

OPTIONAL = {
    "torchvision": "its networks as models",
    "optuna_dashboard": "Optuna's own pages of a study",
    "psycopg": "PostgreSQL as the database",
}


def examine(storage: str) -> dict[str, str]:
    """Look at the machine.

    Args:
        storage: The database that would be used.

    Returns:
        Findings in words, by subject.
    """
    device = this_device()
    return {
        "dsx": dsx.__version__,
        "processor": device.processor,
        "cores": str(device.cores),
        "memory": f"{device.memory_gib} GiB",
        "system": device.system,
        "python": device.python,
        "torch": device.torch,
        "torch threads": f"{torch.get_num_threads()} (a search uses as many as its space says)",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "load": _load(device.cores),
        "fingerprint": device.fingerprint,
        "compiler": shutil.which("cc") or shutil.which("gcc") or "none (none is needed)",
        **{package: _package(package, use) for package, use in OPTIONAL.items()},
        "spaces": ", ".join(shipped_spaces()),
        "database": _database(storage),
    }


def _load(cores: int) -> str:
    if not hasattr(os, "getloadavg"):
        return "unknown on this system"
    load = os.getloadavg()[0]
    quiet = load < 0.5 * cores
    advice = "quiet" if quiet else "busy: latencies will be noisy, let other work finish first"
    return f"{load:.2f} on {cores} cores ({advice})"


def _package(package: str, use: str) -> str:
    found = importlib.util.find_spec(package) is not None
    return f"{'installed' if found else 'not installed'} ({use})"


def _database(storage: str) -> str:
    url = shown(parse_url(storage))
    try:
        studies = list_studies(open_database(storage, create=False))
    except StorageError as error:
        return str(error)
    return f"{url}, {len(studies)} studies"
