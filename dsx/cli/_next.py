"""Print the commands that go on with a study once a search has ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsx.cli._again import command_line, lacks_password, storage_words
from dsx.cli._options import DEFAULT_STORAGE

if TYPE_CHECKING:
    from dsx.study.front import Front


@dataclass(frozen=True)
class NextCommands:
    """Commands that go on with a study.

    Args:
        study: Its name.
        storage: Its database.
        own: Options that name the code outside dsx again, which is run only then.
        mix_devices: Whether the numbers of all devices are joined.
    """

    study: str
    storage: str
    own: Sequence[str]
    mix_devices: bool

    def command(self, name: str, *words: str) -> str:
        """Write a command about the study."""
        place = storage_words(self.storage, DEFAULT_STORAGE)
        mixed = ["--mix-devices"] if self.mix_devices and name == "pareto" else []
        return command_line(name, self.study, *place, *mixed, *words)

    def say_password(self) -> None:
        """Say what the commands need in place of a password, which they do not show."""
        from dsx.report.result import print_message

        if lacks_password(self.storage):
            print_message(
                "The commands below need DSX_STORAGE, set to the URL of the database with its "
                "password, which is not printed."
            )

    def say_marked(self, marked: int) -> None:
        """Say how the latencies from bad conditions are measured again, if there are any."""
        from dsx.report.progress import marked_note
        from dsx.report.result import print_message

        if marked:
            command = self.command("pareto", "--settle", "2m", *self.own)
            print_message(f"{marked_note(marked)}; to measure again: {command}")

    def say_next(self, found: "Front") -> None:
        """Say how the front is plotted, and how its knee is exported."""
        from dsx.report.result import print_message

        lines = [f"Next: {self.command('pareto', '--plot', 'front.html')}"]
        if found.has_knee:
            # By its words, a design is picked from those of the study's own device.
            pick = f"#{found.knee.trial}" if found.devices else "knee"
            chosen = self.command("export", *self.own, "--pick", pick, "--out", "chosen")
            lines.append(f"      {chosen}")
        print_message(*lines)
