"""Writing steps of commands that write several files, in a process that may kill itself."""

from pathlib import Path

from dsx.files.folders import put
from dsx.report.studies.files import write
from tests.robustness.killing import kill_at


def copy(folder: Path, operation: int = 0) -> None:
    """Copy `source` to `chosen`, as an export does.

    Args:
        folder: Folder of both.
        operation: Number of the file operation before which this process is killed; 0 for none.
    """
    if operation:
        kill_at(operation, folder)
    put(folder / "source", folder / "chosen", lambda place: None)


def save(folder: Path, text: str, operation: int = 0) -> None:
    """Write the files of a saved study to `kept`.

    Args:
        folder: Parent folder.
        text: Content of the files.
        operation: Number of the file operation before which this process is killed; 0 for none.
    """
    if operation:
        kill_at(operation, folder)
    contents = {name: (name + text).encode() for name in ("a.csv", "b.md")}
    write(folder / "kept", contents, {"study": text})
