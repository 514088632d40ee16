"""The wheel: what it holds, and what it does not."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("dsx-*.whl")
    return zipfile.ZipFile(wheel).namelist()


@pytest.mark.slow
def test_the_wheel_ships_the_spaces_and_the_page(names: list[str]) -> None:
    spaces = {f"dsx/search_spaces/{file.name}" for file in (ROOT / "search_spaces").glob("*.yaml")}
    assert spaces
    assert spaces | {"dsx/report/page.html"} <= set(names)


@pytest.mark.slow
def test_the_wheel_holds_every_module(names: list[str]) -> None:
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "dsx").rglob("*.py")}
    assert modules <= set(names)


@pytest.mark.slow
def test_the_wheel_holds_no_tests_and_no_database(names: list[str]) -> None:
    folders = {name.partition("/")[0] for name in names}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"dsx"}
    assert not [name for name in names if name.endswith((".db", ".safetensors", ".lock"))]


@pytest.mark.parametrize("words", [["--lonng"], ["--long", "x"], [""]])
def test_what_the_check_does_not_know_is_refused(words: list[str]) -> None:
    script = ROOT / ".ci" / "run"
    done = subprocess.run([script, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f".ci/run: '{' '.join(words)}' is not known (allowed: nothing, or --long)\n"
    )
