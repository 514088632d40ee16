"""Modules in the current folder are found by user code only."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsx.lookup import load
from dsx.own_modules import _FINDER


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change into an empty folder; modules imported from it are removed afterwards."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    _FINDER.named.clear()
    _FINDER.found.clear()


def test_a_named_module_and_what_it_imports_are_found(folder: Path) -> None:
    (folder / "own_first.py").write_text(
        "import own_second\n\ndef later():\n    import own_third\n    return own_third.NUMBER\n"
    )
    (folder / "own_second.py").touch()
    (folder / "own_third.py").write_text("NUMBER = 3\n")
    later = load("own_first:later")
    assert callable(later) and later() == 3
    assert str(folder) not in sys.path and "" not in sys.path


def test_a_package_without_an_init_file_is_found(folder: Path) -> None:
    (folder / "own_package").mkdir()
    (folder / "own_package" / "inside.py").write_text("NUMBER = 4\n")
    assert load("own_package.inside:NUMBER") == 4


def test_other_code_finds_no_module(folder: Path) -> None:
    for name in ("own_named", "own_other"):
        (folder / f"{name}.py").write_text("NUMBER = 5\n")
    assert load("own_named:NUMBER") == 5
    with pytest.raises(ModuleNotFoundError, match="own_other"):
        importlib.import_module("own_other")


def test_an_installed_package_finds_no_module(folder: Path) -> None:
    (folder / "yaml_extra.py").touch()
    (folder / "yaml.py").write_text("raise SystemExit")
    assert callable(load("yaml:safe_load"))
    assert "yaml" not in _FINDER.found
