"""The pages: their code runs, their links lead somewhere, their sample outputs are filled in."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.pictures import FOLDER, PICTURES, render
from docs.regenerate import BLOCK, pages

PAGES = list(pages())
ROOT = PAGES[0].parent


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_run_mark_has_its_output(page: Path) -> None:
    text = page.read_text()
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("<!-- run:")
    assert all(output.strip() for _, _, output, _ in blocks)


def test_the_readme_opens_with_the_two_commands() -> None:
    commands = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert commands[:2] == ["pip install . && dsx search\n", "pip install '.[test]' && pytest\n"]
    assert "pytest" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_drawn_alike_every_time(name: str) -> None:
    drawn = render(PICTURES[name]())
    assert drawn == render(PICTURES[name]())
    assert (FOLDER / name).read_bytes()[:5] == drawn[:5] == b"<?xml"
