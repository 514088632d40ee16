"""Command line: one file per command, which parses the options, calls one function and prints."""

from dsx.cli._app import State, app, run_command
from dsx.cli._log import show_log_messages
from dsx.cli._resume_hint import command_line, saves_measurements

__all__ = ["State", "app", "command_line", "run_command", "saves_measurements", "show_log_messages"]
