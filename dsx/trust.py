"""Trust in import paths: importing runs code, and a database may contain any import path.

Within a restriction, a path is imported only if the user has given it on the command line or in a
space file, or trusts the database. A Python program that imports dsx is not restricted until it
opens a study, since it passes the names itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from dsx.errors import DsxError, parameter, quoted

_trusted: ContextVar[frozenset[str] | None] = ContextVar("trusted", default=None)
"""Trusted import paths; None if all paths are trusted."""


@contextmanager
def restricted(paths: Iterable[str] | None) -> Iterator[None]:
    """Restrict imports to trusted paths.

    Args:
        paths: Trusted import paths; None if all paths are trusted.
    """
    token = _trusted.set(None if paths is None else frozenset(paths))
    try:
        yield
    finally:
        _trusted.reset(token)


def trust_paths(paths: Iterable[str]) -> None:
    """Trust import paths that the user gave, until the end of the restriction if there is one.

    Args:
        paths: Import paths.
    """
    trusted = _trusted.get()
    if trusted is not None:
        _trusted.set(trusted.union(paths))


def trust_all_paths() -> None:
    """Trust all import paths, until the end of the restriction."""
    _trusted.set(None)


def check_trusted(path: str) -> None:
    """Check that an import path is trusted.

    Args:
        path: Import path `package.module:attribute`.

    Raises:
        DsxError: If the path is not trusted.
    """
    trusted = _trusted.get()
    if trusted is not None and path not in trusted:
        raise DsxError(
            f"{quoted(path)} is not imported, because that would run code that a database names "
            f"and this call does not (add {parameter('space', 'FILE')} with your space file of the "
            f"study, or {parameter('trust', True)} if you trust the author of the database)"
        )


def import_paths(content: object) -> frozenset[str]:
    """List the strings that may be import paths in the content of a file.

    Args:
        content: Nested plain values.

    Returns:
        All strings with a colon, including keys.
    """
    if isinstance(content, str):
        return frozenset({content} if ":" in content else ())
    if isinstance(content, Mapping):
        return import_paths([*content.keys(), *content.values()])
    if isinstance(content, list | tuple):
        return frozenset().union(*map(import_paths, content))
    return frozenset()
