"""Examination of each network in a separate process, without state of other networks."""

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dsx.bench.zoo.catalogue import Architecture
from dsx.files import scratch

MOST_SECONDS = 300.0
"""Time after which the examination of a network is terminated."""


def examine_in_process(
    architecture: Architecture,
    budget_seconds: float,
    report: Callable[[str], None],
    most_seconds: float = MOST_SECONDS,
) -> dict[str, Any]:
    """Examine a network in a separate process.

    Args:
        architecture: Architecture that is built and examined.
        budget_seconds: Seconds for timing the network in one form.
        report: Function that receives the name of each step.
        most_seconds: Seconds after which the process is killed.

    Returns:
        The findings; `failed` is the reason of a failure, without other findings.
    """
    # Forked from a server that has only imported torch, which takes seconds, so that the process
    # inherits no state of this process or of another network.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dsx.bench.zoo.examine"])
    with scratch() as folder:
        log = folder / "log"
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_serve, args=(theirs, log, architecture, budget_seconds), daemon=True
        )
        process.start()
        theirs.close()
        try:
            return _receive(ours, log, report, most_seconds)
        finally:
            process.kill()
            process.join()
            ours.close()


def _receive(
    connection: Connection, log: Path, report: Callable[[str], None], most_seconds: float
) -> dict[str, Any]:
    end = time.monotonic() + most_seconds
    while connection.poll(max(0.0, end - time.monotonic())):
        try:
            message = connection.recv()
        except EOFError:
            lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
            return {"failed": f"its process has ended: {(lines or ['no message'])[-1]}"}
        if not isinstance(message, str):
            findings: dict[str, Any] = message
            return findings
        report(message)
    return {"failed": f"took more than {most_seconds:.0f} s"}


def _serve(
    connection: Connection, log: Path, architecture: Architecture, budget_seconds: float
) -> None:
    """Examine a network, and send the steps and then the findings."""
    # Output of the libraries must not reach the results or the progress bar.
    file = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    from dsx.bench.zoo.examine import Examination

    connection.send(dict(Examination(architecture, budget_seconds, connection.send).run()))
