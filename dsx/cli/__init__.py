"""The command line: one file per command; each parses, calls one function, prints."""

from dsx.cli._app import State, app

__all__ = ["State", "app"]
