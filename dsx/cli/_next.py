"""Print the commands that continue a study once a search has ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsx.cli._options import DEFAULT_STORAGE
from dsx.cli._resume_hint import command_line, lacks_password, storage_words

if TYPE_CHECKING:
    from dsx.analysis import Front
    from dsx.report.front import Hints


@dataclass(frozen=True)
class NextCommands:
    """Commands that continue a study.

    Args:
        study: Name of the study.
        storage: Database of the study.
        own: Options that name the user's code again, which is not run without them.
        mix_devices: Whether the numbers of all devices are joined.
    """

    study: str
    storage: str
    own: Sequence[str] = ()
    mix_devices: bool = False

    def command(self, name: str, *words: str) -> str:
        """Write a command about the study."""
        place = storage_words(self.storage, DEFAULT_STORAGE)
        mixed = ["--mix-devices"] if self.mix_devices and name in ("pareto", "show") else []
        return command_line(name, self.study, *place, *mixed, *words)

    def hints(self, found: "Front") -> "Hints":
        """Return the commands that list the whole front and show one design."""
        from dsx.report.front import Hints

        pick = _pick(found) if found.has_knee else "baseline"

        return Hints(
            everything=self.command("pareto", "--all"),
            design=self.command("show", "--pick", pick),
        )

    def say_password(self) -> None:
        """Print what the commands need in place of a password, which they do not show."""
        from dsx.report.front import print_message

        if lacks_password(self.storage):
            print_message(
                "The commands below need DSX_STORAGE, set to the URL of the database with its "
                "password, which is not printed."
            )

    def say_flagged(self, flagged: int) -> None:
        """Print how the latencies from bad conditions are measured again, if there are any."""
        from dsx.report.front import print_message
        from dsx.report.text import flagged_note

        if flagged:
            command = self.command("refine", "--for", "2m", *self.own)
            print_message(f"{flagged_note(flagged)}; to measure again: {command}")

    def say_outcomes(self, found: "Front") -> None:
        """Print why candidates failed or violate a constraint, and how all failures are listed."""
        from dsx.report.front import print_message
        from dsx.report.text import outcome_notes

        for note in outcome_notes(found.outcomes):
            print_message(note)
        if found.outcomes.failed:
            print_message(f"Tracebacks: {self.command('ls', '--failed')}")

    def say_next(self, found: "Front") -> None:
        """Print the commands that plot the front and export its knee."""
        from dsx.report.front import print_message

        lines = [f"Next: {self.command('pareto', '--plot', 'front.html')}"]
        if found.has_knee:
            chosen = self.command("export", *self.own, "--pick", _pick(found), "--out", "chosen")
            lines.append(f"      {chosen}")
        print_message(*lines)


def _pick(found: "Front") -> str:
    """Return the pick of the knee; by name only designs of the study's own device are found."""
    return f"#{found.knee.trial}" if found.devices else "knee"
