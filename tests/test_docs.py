"""Pages: their code runs, their links resolve, and their outputs and constants are current."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from docs.imitation import imitate
from docs.pictures import FOLDER, PICTURES, render
from docs.regenerate import BLOCK, FILE, TABLE, WIDTH, pages, run, stripped, written
from docs.training import PRESETS
from dsx.conv import ConvSpec
from dsx.errors import SpecError
from dsx.space import load_space
from tests.cli.running import dsx

PAGES = list(pages())
ROOT = PAGES[0].parent
DIALS = ROOT / "docs" / "dials.md"
SPACE = """model: small_cnn
data: digits
objectives: {accuracy: maximize, params: minimize}
"""


def code(page: Path) -> str:
    """Return the Python blocks of a page as one program."""
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if code(page)], ids=lambda p: p.name)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", code(page)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


YOUR_MODEL = ROOT / "docs" / "your_model.md"
STEP = re.compile(r"(?:<!-- file: (\S+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


def follow_tutorial(folder: Path) -> None:
    """Write the files and run the commands of your_model.md in their order."""
    for name, language, content in STEP.findall(YOUR_MODEL.read_text()):
        if name:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        for line in content.splitlines() if language == "console" else []:
            called(line, folder)


def called(line: str, folder: Path) -> str:
    """Run a command line of dsx in a folder and return its standard output."""
    program, *words = shlex.split(line)
    assert program == "dsx"
    ended = dsx(*words, folder=folder, environment={"COLUMNS": str(WIDTH)})
    assert ended.code == 0, (line, ended.err)
    return ended.out


@pytest.mark.slow
def test_your_model_becomes_an_exported_redesign(tmp_path: Path) -> None:
    follow_tutorial(tmp_path)
    assert (tmp_path / "front.html").stat().st_size > 0
    script = "from model import load; import torch; print(load()(torch.zeros(3, 1, 8, 8)).shape)"
    shape = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path / "chosen",
        capture_output=True,
        text=True,
        check=True,
    )
    assert shape.stdout == "torch.Size([3, 10])\n"
    # Also with the data set of the page in place of the digits.
    text = (tmp_path / "my.yaml").read_text()
    own = text.replace("data: digits", "data: mypkg.data:splits\ndata_args: {images: 800}")
    (tmp_path / "own.yaml").write_text(own)
    found = json.loads(called("dsx search own.yaml --trials 2 --json", tmp_path))
    assert len(found["designs"]) == 2
    assert all(design["metrics"]["accuracy"]["value"] > 0.2 for design in found["designs"])


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page as on GitHub."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for name, _, anchor in (link.partition("#") for link in links if "://" not in link):
        target = page.parent / name if name else page
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), f"{name}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_run_mark_has_its_output(page: Path) -> None:
    text = page.read_text()
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("<!-- run:") + text.count("<!-- measured:")
    assert all(output.strip() for *_, output, _ in blocks)


def test_the_readme_opens_with_the_two_commands() -> None:
    commands = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert commands[:2] == [
        "pip install . && dsx search\n",
        "pip install '.[test]' && pytest -n 2\n",
    ]
    assert "\npytest -n 2 " in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("name", PICTURES)
def test_figures_are_reproducible(name: str) -> None:
    drawn = render(PICTURES[name]())
    assert drawn == render(PICTURES[name]())
    assert (FOLDER / name).read_bytes()[:5] == drawn[:5] == b"<?xml"


def test_every_figure_is_drawn_and_shown() -> None:
    shown = {name for page in PAGES for name in re.findall(r"\(pictures/(.+?)\)", page.read_text())}
    assert {path.name for path in FOLDER.iterdir()} == set(PICTURES) == shown


def test_the_layer_of_the_figures_finds_the_known_shapes() -> None:
    training = imitate()
    assert torch.equal(training.layer.shape_scores > 0, training.known)
    assert max(training.strength) == pytest.approx(4)


OUTPUTS = [
    (page, command, output)
    for page in PAGES
    for command, output in (
        *((found[2], found[3]) for found in BLOCK.findall(page.read_text()) if found[1] == "run"),
        *((found[1], found[2]) for found in TABLE.findall(page.read_text())),
    )
]


@pytest.mark.parametrize(
    ("page", "command", "output"), OUTPUTS, ids=[command for _, command, _ in OUTPUTS]
)
def test_outputs_are_current(page: Path, command: str, output: str, tmp_path: Path) -> None:
    # The commands of a page with files refer to these files, all others to the checkout.
    folder = written(page, tmp_path) if FILE.search(page.read_text()) else ROOT
    shown = called(command, folder) if command.startswith("dsx ") else run(command, folder)
    assert stripped(shown) == output


CONSTANTS = [
    (page.name, number, percent, module, expression)
    for page in PAGES
    for number, percent, module, expression in re.findall(
        r"(\d[\d.,]*)( %)?<!-- = ([\w.]+):(.+?) -->", page.read_text()
    )
]


@pytest.mark.parametrize(
    ("page", "number", "percent", "module", "expression"),
    CONSTANTS,
    ids=[f"{page}-{expression}" for page, *_, expression in CONSTANTS],
)
def test_constants_in_prose_are_those_of_the_code(
    page: str, number: str, percent: str, module: str, expression: str
) -> None:
    value = eval(expression, vars(importlib.import_module(module)))
    assert float(number.replace(",", "")) == pytest.approx(100 * value if percent else value)


def test_every_mark_of_a_constant_is_checked() -> None:
    marks = sum(page.read_text().count("<!-- = ") for page in PAGES)
    assert marks == len(CONSTANTS) > 25


def test_measured_tables_have_a_line_for_each_preset() -> None:
    tables = [
        output for page in PAGES for _, mark, command, output, _ in BLOCK.findall(page.read_text())
        if mark == "measured" and command.startswith("python docs/training.py")
    ]  # fmt: skip
    assert len(tables) == 2
    for table in tables:
        _, *lines = table.splitlines()
        pairs = zip(lines, PRESETS, strict=True)
        assert all(line.startswith(name) for line, name in pairs)


def test_the_published_backward_pass_is_wrong_and_dsx_is_not() -> None:
    (output,) = (output for _, command, output in OUTPUTS if "published_gradients" in command)
    lines = [line.replace("< ", "") for line in output.splitlines()[1:]]
    for *_, overlap, _, own_dx, own_dw, dx, dw in (line.split() for line in lines):
        assert max(float(own_dx), float(own_dw)) <= 1e-12
        assert (max(float(dx), float(dw)) > 0.1) == (overlap == "0.75")
    assert len(lines) == 7


RULES = re.findall(r"```yaml\n(.*?)```", DIALS.read_text(), re.DOTALL)


@pytest.mark.parametrize("rule", RULES, ids=range(len(RULES)))
def test_the_rules_of_the_dials_apply(rule: str, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(SPACE + rule)
    left_out = [choices.left_out for choices in load_space(str(file)).slot_options]
    assert left_out and not any(left_out)


REJECTED = re.findall(r"^\| `(\{.+\})` \| (.*) \| (.+) \|$", DIALS.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("dials", "slot", "reason"), REJECTED)
def test_invalid_settings_are_rejected(dials: str, slot: str, reason: str) -> None:
    with pytest.raises(SpecError, match=f"^{re.escape(reason)}$"):
        spec = ConvSpec(**yaml.safe_load(dials))
        if slot != "any":
            inputs, outputs, rows, columns = map(int, re.findall(r"\d+", slot))
            spec.at(nn.Conv2d(inputs, outputs, (rows, columns)))


def test_all_invalid_settings_are_listed() -> None:
    assert len(REJECTED) == 10
