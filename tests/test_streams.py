"""Standard streams that cannot be written: a full disk, and streams closed by the caller."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import Ended, dsx, one_line, plain_environment, start
from tests.search.spaces import STATIC

FULL = Path("/dev/full")
COMMANDS = [
    ["--help"],
    ["--version"],
    ["search", "--help"],
    ["ls"],
    ["ls", "--json"],
    ["ls", "--format", "csv"],
    ["pareto"],
    ["pareto", "--json"],
    ["pareto", "--format", "csv"],
    ["space", str(STATIC)],
    ["space", str(STATIC), "--json"],
    ["bench", "--format", "csv"],
    ["measure", str(STATIC), "--metric", "params", "--json"],
    ["search", str(STATIC), "--trials", "2"],
]
"""Some commands, with every format; `export` and `doctor` take seconds."""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched")
    assert dsx("search", STATIC, "--trials", 2, folder=folder).code == 0
    return folder


def full(*arguments: str, folder: Path) -> Ended:
    ended = start(*arguments, folder=folder, out=FULL).wait()
    return Ended(ended.code, "", ended.err)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_results_on_a_full_disk_are_one_line_and_an_error(
    searched: Path, arguments: list[str]
) -> None:
    ended = full(*arguments, folder=searched)
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == "dsx: stdout cannot be written: No space left on device"
    assert ended.err.count("dsx: ") == 1 and "Traceback" not in ended.err


@pytest.mark.long
@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"], ["export"]], ids=" ".join)
def test_long_commands_report_a_full_disk(
    searched: Path, arguments: list[str], tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path / "out")] if arguments == ["export"] else []
    test_results_on_a_full_disk_are_one_line_and_an_error(searched, [*arguments, *out])


def test_results_larger_than_a_buffer(tmp_path: Path) -> None:
    archived = Path(__file__).parents[1] / "studies" / "digits"
    ended = full("pareto", str(archived), "--json", folder=tmp_path)
    assert one_line(ended, 1) == "stdout cannot be written: No space left on device"


def test_messages_on_a_full_disk_do_not_stop_the_work(searched: Path) -> None:
    ended = start("search", STATIC, "--trials", 3, "--json", folder=searched, err=FULL).wait()
    assert ended.code == 0
    assert len(ended.json["designs"]) == 3


@pytest.mark.parametrize(
    ("redirection", "code", "err"),
    [
        (">&-", 1, "dsx: stdout cannot be written: Bad file descriptor\n"),
        (">&- 2>&-", 1, ""),
        ("<&- >&- 2>&-", 1, ""),
        ("2>&-", 0, ""),
        ("<&- 2>&-", 0, ""),
    ],
)
def test_closed_streams(searched: Path, redirection: str, code: int, err: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m dsx ls {redirection}"],
        cwd=searched,
        env=plain_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, err)
    assert ("static" in done.stdout) == (code == 0)
    # No database was opened under the file descriptor of a stream.
    assert dsx("ls", folder=searched).code == 0
