"""The pages: their code runs, their links lead somewhere, what they show is what dsx does."""

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
from docs.regenerate import BLOCK, pages, run
from docs.training import PRESETS
from dsx.conv import ConvSpec
from dsx.errors import SpecError
from dsx.space import load_space

PAGES = list(pages())
ROOT = PAGES[0].parent
DIALS = ROOT / "docs" / "dials.md"
SPACE = """model: small_cnn
data: digits
objectives: {accuracy: maximize, params: minimize}
"""


def code(page: Path) -> str:
    """Join a page's Python blocks: a later one may use the names of an earlier one."""
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


def followed(folder: Path) -> None:
    """Do what your_model.md says in its order: write its files, run its commands."""
    for name, language, content in STEP.findall(YOUR_MODEL.read_text()):
        if name:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        for line in content.splitlines() if language == "console" else []:
            called(line, folder)


def called(line: str, folder: Path) -> str:
    """Run a command line of dsx in a folder; gives what it prints."""
    program, *words = shlex.split(line)
    assert program == "dsx"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dsx", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (line, done.stderr)
    return done.stdout


@pytest.mark.slow
def test_your_model_becomes_an_exported_redesign(tmp_path: Path) -> None:
    followed(tmp_path)
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
    # The data that the page shows, in place of the digits.
    text = (tmp_path / "my.yaml").read_text()
    own = text.replace("data: digits", "data: mypkg.data:splits\ndata_args: {images: 800}")
    (tmp_path / "own.yaml").write_text(own)
    found = json.loads(called("dsx search own.yaml --trials 2 --json", tmp_path))
    assert len(found["designs"]) == 2
    assert all(design["metrics"]["accuracy"]["value"] > 0.2 for design in found["designs"])


def anchors(page: Path) -> set[str]:
    """Name the headings of a page as GitHub does."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
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
def test_pictures_are_drawn_alike_every_time(name: str) -> None:
    drawn = render(PICTURES[name]())
    assert drawn == render(PICTURES[name]())
    assert (FOLDER / name).read_bytes()[:5] == drawn[:5] == b"<?xml"


def test_every_picture_is_drawn_and_shown() -> None:
    shown = {name for page in PAGES for name in re.findall(r"\(pictures/(.+?)\)", page.read_text())}
    assert {path.name for path in FOLDER.iterdir()} == set(PICTURES) == shown


def test_the_layer_of_the_pictures_finds_the_known_shapes() -> None:
    training = imitate()
    assert torch.equal(training.layer.shape_scores > 0, training.known)
    assert max(training.strength) == pytest.approx(4)


SCRIPTS = [
    (command, output)
    for page in PAGES
    for _, mark, command, output, _ in BLOCK.findall(page.read_text())
    if mark == "run" and command.startswith("python")
]


@pytest.mark.parametrize(("command", "output"), SCRIPTS, ids=[command for command, _ in SCRIPTS])
def test_tables_are_what_their_scripts_print(command: str, output: str, tmp_path: Path) -> None:
    assert run(command, tmp_path) == output


def test_measured_tables_have_a_line_for_each_preset() -> None:
    tables = [
        output for page in PAGES for _, mark, _, output, _ in BLOCK.findall(page.read_text())
        if mark == "measured"
    ]  # fmt: skip
    assert len(tables) == 2
    for table in tables:
        _, *lines = table.splitlines()
        pairs = zip(lines, PRESETS, strict=True)
        assert all(line.startswith(name) for line, name in pairs)


def test_the_published_backward_pass_is_wrong_and_dsx_is_not() -> None:
    (output,) = (output for command, output in SCRIPTS if "published_gradients" in command)
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


REFUSED = re.findall(r"^\| `(\{.+\})` \| (.*) \| (.+) \|$", DIALS.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("dials", "slot", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused(dials: str, slot: str, reason: str) -> None:
    with pytest.raises(SpecError, match=f"^{re.escape(reason)}$"):
        spec = ConvSpec(**yaml.safe_load(dials))
        if slot != "any":
            inputs, outputs, rows, columns = map(int, re.findall(r"\d+", slot))
            spec.at(nn.Conv2d(inputs, outputs, (rows, columns)))


def test_all_that_makes_no_sense_is_listed() -> None:
    assert len(REFUSED) == 10
