"""Hostile names: none of them acts on a terminal, a page, a spreadsheet or a formula."""

import csv
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.running import Ended, dsx, on_terminal, one_line
from tests.robustness.conftest import Tally, check_case
from tests.robustness.hostile import ALL, ESCAPES, harmless, poison, quiet, rename
from tests.search.spaces import STATIC

KIND = "hostile names and code"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    ended = dsx("search", STATIC, "--trials", 4, folder=folder)
    assert ended.code == 0, ended
    return folder


@pytest.fixture(scope="module")
def hostile(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study in which every name is hostile."""
    folder = tmp_path_factory.mktemp("hostile") / "all"
    shutil.copytree(clean, folder)
    poison(folder / "studies" / "dsx.db")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["ls"],
        ["ls", "--json"],
        ["ls", "--format", "csv"],
        ["pareto"],
        ["pareto", "--json"],
        ["pareto", "--format", "csv"],
        ["pareto", "--proxies"],
        ["pareto", "none"],
        ["pareto", "--x", ALL],
        ["refine", "--for", "1s"],
        ["export", "--out", "chosen"],
        ["export", "--pick", ALL],
        ["measure", "--study", ALL],
        ["measure", "--pick", "knee"],
        ["search", STATIC, "--study", ALL],
        ["search", f"{ALL[:40]}.yaml"],
        ["space", ALL],
        ["doctor", "--storage", f"sqlite:///{ESCAPES}"],
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:2]))[:24].encode("unicode_escape").decode(),
)
def test_commands_print_only_printable_text(
    hostile: Path, tmp_path: Path, tally: Tally, arguments: list[object]
) -> None:
    # A copy, because some commands write to the database before they fail.
    shutil.copytree(hostile, tmp_path / "copy")
    ended = dsx(*arguments, folder=tmp_path / "copy")
    right = quiet(ended) and ended.code in (0, 1, 2)
    if ended.code == 2:
        right = right and ended.err.count("\n") == 1
    check_case(tally, KIND, right, ended)


def test_the_front_is_shown_whole(hostile: Path, tally: Tally) -> None:
    ended = dsx("pareto", folder=hostile)
    # Markup of rich is printed as text.
    right = ended.code == 0 and "[/nope]" in ended.out.replace("\n", "")
    check_case(tally, KIND, right, ended)
    document = dsx("pareto", "--json", folder=hostile).json
    check_case(tally, KIND, document["study"] == f"{ALL}static", document["study"])


def test_a_terminal_gets_no_sequence_of_a_name(hostile: Path, tally: Tally) -> None:
    for arguments in (["pareto"], ["ls"]):
        code, shown = on_terminal("out", *arguments, folder=hostile)
        right = code == 0 and not any(each in shown for each in ("\x1b]", "\x9b", "\x07", "\u202e"))
        check_case(tally, KIND, right, shown)


class _Tags(HTMLParser):
    """A parser that collects the tags and the event handlers of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def _tags(page: str) -> tuple[int, bool]:
    parser = _Tags()
    parser.feed(page)
    return parser.tags.count("script"), bool(parser.handlers or "img" in parser.tags)


def test_pages_hold_no_tag_of_a_name(
    clean: Path, hostile: Path, tmp_path: Path, tally: Tally
) -> None:
    for options in ([], ["--proxies"]):
        pages = []
        for folder in (clean, hostile):
            file = tmp_path / f"{folder.name}.html"
            ended = dsx("pareto", *options, "--plot", file, folder=folder)
            if options and ended.code == 2:  # no proxies in a study of static metrics
                continue
            pages.append(file.read_text())
        for page in pages[1:]:
            right = _tags(page) == _tags(pages[0]) and harmless(_without_scripts(page))
            check_case(tally, KIND, right, _tags(page))


def _without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_plots_are_well_formed(hostile: Path, tmp_path: Path, tally: Tally) -> None:
    file = tmp_path / "front.svg"
    ended = dsx("pareto", "--plot", file, folder=hostile)
    check_case(tally, KIND, ended.code == 0 and quiet(ended), ended)
    ElementTree.fromstring(file.read_text())


def test_an_archived_study_is_harmless(hostile: Path, tmp_path: Path, tally: Tally) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(hostile, folder)
    # No command takes a study of a hostile name.
    refused = dsx("archive", "--out", tmp_path / "kept", folder=folder)
    check_case(tally, KIND, one_line(refused, 2).startswith("invalid study name "), refused)
    rename(folder / "studies" / "dsx.db", "fine")
    ended = dsx("archive", "--out", tmp_path / "kept", folder=folder)
    assert ended.code == 0, ended
    page = (tmp_path / "kept" / "README.md").read_text()
    prose = re.sub(r"(`{3,})text\n.*?\n\1\n|(`+) ?.*? ?\2(?!`)", "", page, flags=re.DOTALL)
    title = page.splitlines()[0]
    right = harmless(page) and "<script" not in title and "<img" not in prose
    check_case(tally, KIND, right and "=cmd()" in page, page)
    json.loads((tmp_path / "kept" / "study.json").read_text())
    for name in ("front.csv", "measurements.csv"):
        check_case(tally, KIND, _safe((tmp_path / "kept" / name).read_text()), name)


@pytest.mark.parametrize("command", ["ls", "pareto"])
def test_no_cell_is_a_formula(hostile: Path, tally: Tally, command: str) -> None:
    ended = dsx(command, "--format", "csv", folder=hostile)
    assert ended.code == 0 and "=cmd()" in ended.out, ended
    check_case(tally, KIND, _safe(ended.out), ended.out)


def _safe(text: str) -> bool:
    """Check that a CSV file contains no formula, and equally many cells in each line."""
    rows = list(csv.reader(io.StringIO(text)))
    cells = [cell for row in rows for cell in row]
    formulas = [cell for cell in cells if cell[:1] in tuple("=+-@\t\r") and not _number(cell)]
    return not formulas and len({len(row) for row in rows}) == 1 and harmless(text)


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


NETWORK = """
from torch import nn
from dsx.nets.small_cnn import SmallCnn

class Named(SmallCnn):
    def __init__(self, name):
        super().__init__(width=4)
        self.more = nn.ModuleDict({name: nn.Conv2d(10, 10, 1)})

    def forward(self, x):
        x = super().forward(x)[:, :, None, None]
        for part in self.more.values():
            x = part(x)
        return x.flatten(1)
"""


@pytest.mark.parametrize("format", ["table", "json", "csv"])
def test_the_slots_of_a_network_may_be_called_anything(
    tmp_path: Path, tally: Tally, format: str
) -> None:
    (tmp_path / "named.py").write_text(NETWORK)
    name = ALL.replace(".", "")
    arguments = ["--model", "named:Named", "--model-args", json.dumps({"name": name})]
    ended = dsx("space", *arguments, "--input", "1x8x8", "--format", format, folder=tmp_path)
    check_case(tally, KIND, quiet(ended) and ended.code == 0, ended)


def test_a_space_file_may_be_called_anything(tmp_path: Path, tally: Tally) -> None:
    file = tmp_path / f"{ESCAPES}\n[bold].yaml"
    shutil.copy(STATIC, file)
    for format in ("table", "json", "csv"):
        ended = dsx("space", file, "--format", format, folder=tmp_path)
        check_case(tally, KIND, quiet(ended) and ended.code == 0, ended)


def test_the_command_to_resume_is_one_line(tmp_path: Path, tally: Tally) -> None:
    ended: Ended = dsx("search", "no\x1b[31m\nsuch", folder=tmp_path)
    right = ended.err.startswith("dsx: no search space called 'no\\x1b[31m\\nsuch'")
    check_case(tally, KIND, right and quiet(ended), ended)
