"""Permission to follow import paths: following one runs code, and a database can name any.

Within a restriction a path is followed only if the user gave it: on the command line, in a space
file, or by saying that the database is trusted. A Python program that imports dsx is under no
restriction until it opens a study, since the names that it passes are its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from dsx.errors import DsxError, parameter, quoted

_given: ContextVar[frozenset[str] | None] = ContextVar("given", default=None)
"""The paths that may be followed; None for all of them."""


@contextmanager
def restricted(paths: Iterable[str] | None) -> Iterator[None]:
    """Follow no import path but some.

    Args:
        paths: The paths that may be followed; None for all of them.
    """
    token = _given.set(None if paths is None else frozenset(paths))
    try:
        yield
    finally:
        _given.reset(token)


def give(paths: Iterable[str]) -> None:
    """Permit import paths that the user gave, to the end of the restriction if there is one."""
    known = _given.get()
    if known is not None:
        _given.set(known.union(paths))


def give_all() -> None:
    """Permit all import paths, to the end of the restriction."""
    _given.set(None)


def check_given(path: str) -> None:
    """Refuse to follow an import path that is from a database.

    Args:
        path: `package.module:attribute`.

    Raises:
        DsxError: If the user did not give it.
    """
    known = _given.get()
    if known is not None and path not in known:
        raise DsxError(
            f"{quoted(path)} is not imported, because that would run code that a database names "
            f"and this call does not (add {parameter('space', 'FILE')} with your space file of the "
            f"study, or {parameter('trust', True)} if you trust the author of the database)"
        )


def import_paths(content: object) -> frozenset[str]:
    """List what may be import paths in the content of a file.

    Args:
        content: Plain values, nested at will.

    Returns:
        Every text with a colon, keys included.
    """
    if isinstance(content, str):
        return frozenset({content} if ":" in content else ())
    if isinstance(content, Mapping):
        return import_paths([*content.keys(), *content.values()])
    if isinstance(content, list | tuple):
        return frozenset().union(*map(import_paths, content))
    return frozenset()
