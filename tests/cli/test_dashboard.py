"""dsx dashboard: serves the studies if optuna-dashboard is installed, or names the package."""

import importlib.util
import socket
import urllib.request
from pathlib import Path

from tests.cli.running import INTERRUPT, dsx, one_line, start, until


def test_studies_are_served_if_the_package_is_installed(used: Path) -> None:
    # Not a skipped test for each case: CI counts a skipped test as failed.
    if importlib.util.find_spec("optuna_dashboard") is None:
        names_the_package(used)
    else:
        serves_until_ctrl_c(used)
        names_a_port_in_use(used)


def names_the_package(folder: Path) -> None:
    said = one_line(dsx("dashboard", folder=folder), 2)
    assert "optuna-dashboard" in said
    assert "pip install 'dsx[dashboard]'" in said


def serves_until_ctrl_c(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    running = start("dashboard", "--port", port, folder=folder)
    until(lambda: "Listening" in running.err, "it serves")
    with urllib.request.urlopen(f"http://localhost:{port}/api/studies") as answer:
        assert b'"tiny"' in answer.read()
    running.signal(INTERRUPT)
    ended = running.wait()
    assert (ended.code, ended.out) == (0, "")
    assert f"http://localhost:{port}/" in ended.err
    assert "Traceback" not in ended.err


def names_a_port_in_use(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        ended = dsx("dashboard", "--port", taken.getsockname()[1], folder=folder)
    assert ended.code == 1
    assert "dsx: --port: " in ended.err and "Traceback" not in ended.err
