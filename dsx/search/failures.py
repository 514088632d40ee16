"""Errors of code outside dsx: networks, data, metrics, backends, and what runs a network."""

import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import TracebackType

from dsx.errors import DsxError, TrialFailed, out_of_memory
from dsx.space import SearchSpace
from dsx.store.database import SQLAlchemyError

RUNTIMES = {"torch", "onnxruntime", "openvino"}
"""Packages that run a network; their errors are RuntimeError and ValueError."""

_DECORATORS = "torch.utils._contextlib"
"""Module whose frames are on the stack of every function decorated by `torch.no_grad()`."""

LONGEST_TRACEBACK = 20_000
"""Characters of a traceback that are stored."""


@contextmanager
def failing_as_trial(space: SearchSpace) -> Iterator[None]:
    """Report errors of code outside dsx in one line; bugs in dsx propagate unchanged.

    Args:
        space: Search space, which names the code outside dsx that may be run.

    Raises:
        TrialFailed: If code outside dsx raises an error, or memory runs out.
    """
    try:
        yield
    except (DsxError, SQLAlchemyError):
        raise
    except (Exception, SystemExit) as error:
        if not is_from_outside(error, space.imports):
            raise
        raise TrialFailed(in_one_line(error)) from error


def is_from_outside(error: BaseException, imports: Collection[str]) -> bool:
    """Check whether an error is not a bug in dsx, by the modules on its traceback.

    Args:
        error: The error, as it was caught.
        imports: Import paths of the code outside dsx that may have run.

    Returns:
        Whether memory ran out, a module of the packages in `imports` was running, or a RuntimeError
        or ValueError was raised while torch or a backend was running a network.
    """
    if out_of_memory(error):
        return True
    modules = set(_modules(error.__traceback__)) - {_DECORATORS}
    packages = {module.partition(".")[0] for module in modules}
    if packages & {path.partition(":")[0].partition(".")[0] for path in imports}:
        return True
    return isinstance(error, RuntimeError | ValueError) and not packages.isdisjoint(RUNTIMES)


def _modules(trace: TracebackType | None) -> Iterator[str]:
    """Name the module of each frame of a traceback."""
    for frame, _ in traceback.walk_tb(trace):
        yield str(frame.f_globals.get("__name__", ""))


def in_one_line(error: BaseException) -> str:
    """Describe an error in one line.

    Args:
        error: The error.

    Returns:
        The message, preceded by the type of the error unless the message alone is sufficient.
    """
    if problem := out_of_memory(error):
        return problem
    words = " ".join(str(error).split())
    if isinstance(error, DsxError | RuntimeError | ValueError) and words:
        return words
    return f"{type(error).__name__}: {words}".rstrip(": ")


def traceback_of(error: BaseException, longest: int = LONGEST_TRACEBACK) -> str:
    """Format the traceback of a failure for the database.

    Args:
        error: The error; for a `TrialFailed` with a cause, the traceback is that of the cause.
        longest: Number of characters; of a longer traceback the end is kept, where the cause is.

    Returns:
        The traceback.
    """
    origin = error.__cause__ if isinstance(error, TrialFailed) else None
    lines = "".join(traceback.format_exception(origin or error))
    # Databases cannot store lone surrogates, and PostgreSQL cannot store NUL.
    text = lines.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
    return text if len(text) <= longest else f"...\n{text[-longest:]}"
