"""Full disk: one line, no partial file, and the old file is unchanged."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.running import start
from tests.robustness.conftest import Tally
from tests.robustness.test_kills import environment, run, searched_in
from tests.search.spaces import QUICK, STATIC

KIND = "commands on a full disk"
FILES = {
    "pareto --plot": (
        ["pareto", "static", "--plot", "front.html"],
        "--plot: 'front.html' cannot be written: ",
    ),
    "pareto --plot .svg": (
        ["pareto", "static", "--plot", "front.svg"],
        "--plot: 'front.svg' cannot be written: ",
    ),
    "archive": (
        ["archive", "static", "--out", "kept"],
        "archive folder: 'kept' cannot be written: ",
    ),
    "space --write": (
        ["space", "--model", "small_cnn", "--write", "draft.yaml"],
        "--write: 'draft.yaml' cannot be written: ",
    ),
    "export": (["export", "quick"], "the temporary folder (TMPDIR): '"),
    "doctor --calibrate": (["doctor", "--calibrate"], "{cache} cannot be written: "),
}
"""Words of the command line after `dsx`, and the start of the error message."""

LIMIT = 40_000
"""Maximum size of a file in bytes: enough for SQLite to read, but too small for some outputs."""

LIMITS = {"space --write": 100, "doctor --calibrate": 4000}
SHORT = "pareto --plot", "archive"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of static metrics, and reference times of another machine."""
    folder = searched_in(tmp_path_factory.mktemp("full"), STATIC)
    cache = folder / "cache" / "dsx" / "reference_times.json"
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps({"other": {f"situation {number}": 1.0 for number in range(300)}}))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    # SQLite creates files next to a database that it reads.
    found = (file for file in folder.rglob("*") if file.is_file() and "dsx.db-" not in file.name)
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def check(folder: Path, words: Sequence[str], line: str, limit: int, tally: Tally) -> None:
    before = content(folder)
    ended = start(*words, folder=folder, file_limit=limit, environment=environment(folder)).wait()
    after = {name: text for name, text in content(folder).items() if "torchinductor" not in name}
    right = ended.code == 1 and after == before
    tally(KIND, right)
    assert right, (ended, sorted(after.keys() ^ before.keys()))
    *progress, last = ended.err.splitlines()
    assert last.startswith(
        "dsx: " + line.format(cache=folder / "cache" / "dsx" / "reference_times.json")
    )
    assert ended.out == "" and all(text.startswith("watching") for text in progress)


@pytest.mark.parametrize("name", SHORT)
def test_nothing_partial_is_left(name: str, folder: Path, tally: Tally) -> None:
    words, line = FILES[name]
    check(folder, words, line, LIMIT, tally)
    assert run(folder, *words).code == 0
    check(folder, words, line, LIMIT, tally)


@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
def test_nothing_partial_is_left_of_any_command(name: str, folder: Path, tally: Tally) -> None:
    if name == "export":
        searched_in(folder, QUICK)
    words, line = FILES[name]
    check(folder, words, line, LIMITS.get(name, LIMIT), tally)


PUT = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dsx.files.folders import put
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
folder = Path(sys.argv[2])
try:
    put(folder / "source", folder / "chosen", lambda place: None)
except OSError as error:
    sys.exit(0 if error.errno == 27 else f"errno {error.errno}")
sys.exit("everything fits")
"""


@pytest.mark.parametrize("replaced", [False, True])
def test_an_export_that_does_not_fit_on_the_disk_leaves_nothing(
    replaced: bool, tmp_path: Path, tally: Tally
) -> None:
    for name, size in (("source", 2000), *([("chosen", 10)] * replaced)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("a")
        (tmp_path / name / "b").write_bytes(bytes(size))
    before = content(tmp_path)
    words = [sys.executable, "-c", PUT, str(Path(__file__).parents[2]), str(tmp_path)]
    ended = subprocess.run(words, check=False, capture_output=True, text=True)
    right = ended.returncode == 0 and content(tmp_path) == before
    tally(KIND, right)
    assert right, ended
