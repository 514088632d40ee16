"""dsx dashboard: starts optuna-dashboard, or says how it is installed."""

import importlib.util
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.cli.running import INTERRUPT, dsx, one_line, start, until

INSTALLED = importlib.util.find_spec("optuna_dashboard") is not None


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


@pytest.mark.skipif(INSTALLED, reason="optuna-dashboard is installed")
def test_a_missing_package_is_named_with_its_command(tmp_path: Path) -> None:
    said = one_line(dsx("dashboard", folder=tmp_path), 2)
    assert "optuna-dashboard" in said
    assert "pip install 'dsx[dashboard]'" in said


@pytest.mark.skipif(not INSTALLED, reason="needs optuna-dashboard")
def test_studies_are_served_until_ctrl_c(used: Path, port: int) -> None:
    running = start("dashboard", "--port", port, folder=used)
    until(lambda: "Listening" in running.err, "it serves")
    with urllib.request.urlopen(f"http://localhost:{port}/api/studies") as answer:
        assert b'"tiny"' in answer.read()
    running.signal(INTERRUPT)
    ended = running.wait()
    assert (ended.code, ended.out) == (0, "")
    assert f"http://localhost:{port}/" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.skipif(not INSTALLED, reason="needs optuna-dashboard")
def test_a_port_in_use_is_one_line(used: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        ended = dsx("dashboard", "--port", taken.getsockname()[1], folder=used)
    assert ended.code == 1
    assert "dsx: --port: " in ended.err and "Traceback" not in ended.err
