"""The page of the documentation that a benchmark writes."""

from pathlib import Path

from dsx import files
from dsx.errors import DsxError, parameter, unwritable_in_one_line

MARK = "<!-- written by dsx bench {name} -->\n"
"""First line of a page: only a page that has it is replaced."""


def check_page(name: str, file: Path) -> None:
    """Check in advance that a page can be written.

    Args:
        name: Name of the benchmark.
        file: Path of the page.

    Raises:
        DsxError: If the file cannot be written, or is another file.
    """
    with unwritable_in_one_line(parameter("page"), file):
        files.make_folder(file.parent)
        files.check_writable(file.parent)
        if not file.exists():
            return
        with files.open_regular(file) as opened:
            first = opened.readline(200)
    if first != MARK.format(name=name).encode():
        raise DsxError(
            f"{parameter('page')}: '{file}' exists and is not a page of this benchmark (choose "
            "another name)"
        )


def write_page(name: str, file: Path, text: str) -> None:
    """Write the page of a benchmark.

    Args:
        name: Name of the benchmark.
        file: Path of the page, as it was checked.
        text: The page.

    Raises:
        DsxError: If the file cannot be written.
    """
    check_page(name, file)
    with unwritable_in_one_line(parameter("page"), file):
        files.write(file, MARK.format(name=name) + text, replace=True)
