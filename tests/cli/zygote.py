"""Server that forks `dsx` processes, which therefore need not import torch again.

It reads one JSON request per line and answers with one JSON value per line. Not a test.
"""

import ctypes
import gc
import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, TextIO

# Everything that a command would import.
import alembic.command  # noqa: F401
import fvcore.nn  # noqa: F401
import matplotlib.figure  # noqa: F401
import moocore  # noqa: F401
import optuna.storages  # noqa: F401
import sklearn.datasets  # noqa: F401
import torch
import torch._dynamo

import dsx.cli._request
import dsx.report.design.backends
import dsx.report.design.profile
import dsx.report.front.result
import dsx.report.plots
import dsx.report.space.space
import dsx.search.doctor
import dsx.search.loop  # noqa: F401
from dsx.measure.timing import device_lock
from tests.robustness.killing import kill_at


def main() -> None:
    """Serve requests until stdin is closed."""
    # Threads do not survive a fork; with one thread there are none.
    torch.set_num_threads(1)
    # As in the tests.
    device_lock.FOLDER = Path(os.environ["XDG_CACHE_HOME"])
    # A collection in a forked process would copy the memory of all these objects.
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        answer = _start(request) if "arguments" in request else _end(request["poll"])
        print(json.dumps(answer), flush=True)


def _start(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _become(request)
        from dsx.__main__ import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            print("Exception ignored while flushing", file=sys.stderr, flush=True)
        os._exit(code)


def _become(request: dict[str, Any]) -> None:
    os.setsid()
    for number, path in enumerate([os.devnull, request["out"], request["err"]]):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(path, flags | os.O_NOCTTY), number)
    if request["heed_permissions"] and sys.platform == "linux":
        _heed_permissions()
    if request["file_limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_limit"],) * 2)
    if request["memory_limit"] is not None:
        resource.setrlimit(resource.RLIMIT_AS, (request["memory_limit"],) * 2)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # A new process would read TMPDIR.
    tempfile.tempdir = None
    sys.argv = ["dsx", *request["arguments"]]
    sys.stdout, sys.stderr = _text(1), _text(2)
    sys.stdin = os.fdopen(0, closefd=False)
    if request["killed_at"] is not None:
        kill_at(request["killed_at"], Path(request["folder"]))
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _heed_permissions() -> None:
    """Drop the capabilities with which root bypasses file permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    version_3, here = 0x20080522, 0
    header = (ctypes.c_uint32 * 2)(version_3, here)
    # Effective, permitted and inheritable capabilities, in two words of 32 bits each.
    rights = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, rights) == 0, os.strerror(ctypes.get_errno())
    override, search = 1 << 1, 1 << 2
    for number in range(3):
        rights[number] &= ~(override | search)
    assert libc.capset(header, rights) == 0, os.strerror(ctypes.get_errno())


def _text(number: int) -> TextIO:
    encoding = os.environ.get("PYTHONIOENCODING") or "utf-8"
    lines = os.isatty(number) or number == 2
    return os.fdopen(number, "w", 1 if lines else -1, encoding, closefd=False)


def _end(pid: int) -> int | None:
    """Return the exit code, negative for a signal; None while the process runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


if __name__ == "__main__":
    main()
