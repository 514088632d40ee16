"""Lookup of variants by file name."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from dsx.conv.deploy import Form
from dsx.conv.sparsity.shapes import Shape
from dsx.errors import DsxError
from dsx.lookup import find, load, names

BASE = """
from dataclasses import dataclass
@dataclass(frozen=True)
class Thing:
    size: int
"""


@pytest.fixture
def thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a package of variants, and return its record type."""
    package = tmp_path / "things_of_a_test"
    (package / "inner").mkdir(parents=True)
    record = "from things_of_a_test._base import Thing\n"
    files = {
        "__init__.py": "",
        "_base.py": BASE,
        "small.py": record + "THING = Thing(1)\n",
        "large.py": record + "THING: Thing = Thing(9)\n",
        "both.py": record + "OTHER = THING = Thing(2)\n",
        "helper.py": "def THING():\n    ...\n",
        "later.py": "if True:\n    THING = 1\n",
        "wrong.py": "THING = 'a word'\n",
        "_private.py": "THING = 1\n",
        "broken.py": "raise RuntimeError('imported')\n",
        "inner/__init__.py": "THING = 1\n",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("things_of_a_test._base").Thing
    for module in [name for name in sys.modules if name.startswith("things_of_a_test")]:
        del sys.modules[module]


def test_variants_are_the_files_that_bind_the_record(thing: Any) -> None:
    assert names(thing) == ["both", "large", "small", "wrong"]


def test_listing_imports_nothing(thing: Any) -> None:
    names(thing)
    assert "things_of_a_test.small" not in sys.modules


def test_find_by_file_name_and_by_import_path(thing: Any) -> None:
    assert find(thing, "small") == thing(1)
    assert find(thing, "large") == thing(9)
    assert find(thing, "things_of_a_test.both:OTHER") == thing(2)


def test_unknown_names_have_a_near_match(thing: Any) -> None:
    with pytest.raises(DsxError, match=r"no thing called 'smal' \(allowed: .*Did you mean 'small'"):
        find(thing, "smal")
    with pytest.raises(DsxError, match=r"no thing called 'inner'"):
        find(thing, "inner")


def test_records_of_another_kind_are_rejected(thing: Any) -> None:
    with pytest.raises(DsxError, match=r"things_of_a_test\.wrong is a str, not a Thing"):
        find(thing, "wrong")
    with pytest.raises(DsxError, match="math:pi is a float, not a Thing"):
        find(thing, "math:pi")


@pytest.mark.parametrize("path", ["math", "math.pi", "math:", ":pi", "", ".math:pi", "..a:b"])
def test_invalid_import_paths_are_rejected(path: str) -> None:
    with pytest.raises(DsxError, match="is not an import path"):
        load(path)


def test_load() -> None:
    assert load("dsx.errors:DsxError") is DsxError
    with pytest.raises(DsxError, match=r"cannot import 'no\.such' of 'no\.such:thing': No module"):
        load("no.such:thing")
    with pytest.raises(DsxError, match=r"no attribute of math called 'pie' .*Did you mean 'pi'"):
        load("math:pie")


def test_the_folders_of_dsx() -> None:
    assert {"full", "point", "cross", "het"} <= set(names(Shape))
    assert {"dense", "grouped"} <= set(names(Form))
    for kind in (Shape, Form):
        assert all(isinstance(find(kind, name), kind) for name in names(kind))
