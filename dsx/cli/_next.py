"""Commands that continue with a study, printed at the end of a search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsx.cli._options import DEFAULT_STORAGE
from dsx.cli._resume_hint import command_line, lacks_password, storage_words
from dsx.errors import printable

if TYPE_CHECKING:
    from dsx.analysis import Front
    from dsx.report.front import Hints


@dataclass(frozen=True)
class NextCommands:
    """Commands that continue with a study.

    Args:
        study: Name of the study, or path of its folder.
        storage: URL of the database.
        own: Options that permit the user's code, which does not run without them.
        mix_devices: Whether measurements from all devices are included.
    """

    study: str
    storage: str
    own: Sequence[str] = ()
    mix_devices: bool = False

    def command(self, name: str, *words: str) -> str:
        """Build a command for the study.

        Args:
            name: Name of the command.
            words: Further words of the command line.

        Returns:
            The command line for a shell, without passwords.
        """
        place = storage_words(self.storage, DEFAULT_STORAGE)
        mixed = ["--mix-devices"] if self.mix_devices and name in ("pareto", "show") else []
        return command_line(name, self.study, *place, *mixed, *words)

    def hints(self, found: "Front") -> "Hints":
        """Return the commands that list the whole front and show one design.

        Args:
            found: Front of the study.
        """
        from dsx.report.front import Hints

        pick = _pick(found) if found.has_knee else "baseline"

        return Hints(
            everything=printable(self.command("pareto", "--all")),
            design=printable(self.command("show", "--pick", pick)),
        )

    def print_password_note(self) -> None:
        """Print that the commands need DSX_STORAGE if the URL contains a password."""
        from dsx.report.front import print_message

        if lacks_password(self.storage):
            print_message(
                "The commands below require DSX_STORAGE to be set to the URL of the database with "
                "its password, which is not printed."
            )

    def print_flagged(self, flagged: int) -> None:
        """Print the command that measures flagged latencies again, if there are any.

        Args:
            flagged: Number of flagged latencies that affect the front.
        """
        from dsx.report.front import print_message
        from dsx.report.text import flagged_note

        if flagged:
            command = self.command("refine", "--for", "2m", *self.own)
            print_message(f"{flagged_note(flagged)}; to measure again: {command}")

    def print_outcomes(self, found: "Front") -> None:
        """Print why candidates failed or violate a constraint, and the command that lists failures.

        Args:
            found: Front of the study.
        """
        from dsx.report.front import print_message
        from dsx.report.text import outcome_notes

        for note in outcome_notes(found.outcomes):
            print_message(note)
        if found.outcomes.failed:
            print_message(f"Tracebacks: {self.command('ls', '--failed')}")

    def print_next(self, found: "Front") -> None:
        """Print the commands that plot the front and export its knee.

        Args:
            found: Front of the study.
        """
        from dsx.report.front import print_message

        lines = [f"Next: {self.command('pareto', '--plot', 'front.html')}"]
        if found.has_knee:
            chosen = self.command("export", *self.own, "--pick", _pick(found), "--out", "chosen")
            lines.append(f"      {chosen}")
        print_message(*lines)


def _pick(found: "Front") -> str:
    """Return the pick of the knee; a pick by name considers only the device of the study."""
    return f"#{found.knee.trial}" if found.devices else "knee"
