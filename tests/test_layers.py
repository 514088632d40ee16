"""Imports point one way, each library has one importer, files and functions stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dsx

ROOT = Path(dsx.__file__).parent
LAYERS = [
    {"__main__"}, {"cli"}, {"report", "bench"}, {"study", "export"}, {"measure"}, {"train"},
    {"space"}, {"data", "nets", "conv"}, {"folders", "ownership"},
    {"lookup", "files", "streams"}, {"locks", "activity"},
    {"own_modules", "trust"}, {"errors"}, {"secret", "plain", "process"},
]  # fmt: skip
"""From the top down. `dsx/__init__.py` is above all: it offers their names."""

LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
IMPORTERS = {
    "optuna": ["study/store.py"],
    "fvcore": ["measure/flops.py"],
    "moocore": ["study/dominance.py"],
    "typer": ["cli/", "cli.py", "__main__.py"],
    "click": [],
    "rich": ["report/"],
    "plotly": ["report/"],
    "matplotlib": ["report/"],
    "PIL": ["data/"],
    "yaml": ["space/source.py", "space/yaml_text.py", "export/bundle.py"],
    "scipy": ["measure/estimate.py", "study/rank.py", "study/scatter.py"],
    "pyarrow": ["data/_parquet_files.py"],
    "pynvml": ["measure/_nvml.py"],
    "onnxruntime": ["measure/backends/onnxruntime.py"],
    "onnxscript": ["measure/backends/onnxruntime.py"],
    "openvino": ["measure/backends/openvino.py"],
    "timm": ["bench/zoo/libraries.py"],
    "torchvision": ["bench/zoo/libraries.py"],
    "transformers": ["bench/zoo/libraries.py"],
}
FACTS = {"", "__version__", "__path__", "__file__"}
"""What any layer may ask of the package itself."""

LINES, FUNCTION = 400, 60


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Walk over the imports of a file, also inside functions; a relative one starts with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # `from dsx import conv` imports dsx.conv.
            wide = [f"dsx.{alias.name}" for alias in node.names] if module == "dsx" else [module]
            yield from ((name, node.lineno) for name in wide)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "dsx":
            yield f"dsx.{node.attr}", node.lineno


def wrong_import(path: str, name: str) -> str:
    """Say what is wrong with an import in a file, or nothing."""
    library, _, rest = name.partition(".")
    if not library:
        return "is relative"
    if library in IMPORTERS:
        allowed = IMPORTERS[library]
        fits = any(f"{path}/".startswith(place) for place in allowed)
        return "" if fits else f"is only for {', '.join(allowed) or 'nobody'}"
    here, there = Path(path).parts[0].removesuffix(".py"), rest.partition(".")[0]
    if library != "dsx" or here in ("__init__", there) or there in FACTS:
        return ""
    if not {here, there} <= LEVEL.keys():
        return "leads from or to no layer"
    return "" if LEVEL[here] < LEVEL[there] else "points up or sideways"


def violations(root: Path) -> list[str]:
    """List what is wrong under a folder, as file:line: reason."""
    found = []
    for file in sorted(root.rglob("*.py")):
        path, text = file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        for name, line in imports(tree):
            if reason := wrong_import(path, name):
                found.append(f"{path}:{line}: import of {name} {reason}")
        if len(text.splitlines()) > LINES:
            found.append(f"{path}: more than {LINES} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno >= FUNCTION:
                    found.append(f"{path}:{node.lineno}: {node.name} has {FUNCTION} lines or more")
    return found


def test_the_house_is_in_order() -> None:
    assert violations(ROOT) == []


def test_every_file_belongs_to_a_layer() -> None:
    inside = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}
    assert inside <= {"__init__", *LEVEL}


PLANTED = [
    ("conv/a.py", "from dsx.space import slots", "points up or sideways"),
    ("conv/a.py", "def f():\n    import dsx.measure.flops", "points up or sideways"),
    ("conv/a.py", "if True:\n    from dsx import study", "points up or sideways"),
    ("nets/a.py", "from dsx.conv import build", "points up or sideways"),
    ("data/a.py", "import dsx.nets", "points up or sideways"),
    ("bench/a.py", "from dsx.report.table import Table", "points up or sideways"),
    ("errors.py", "from dsx.lookup import find", "points up or sideways"),
    ("train.py", "from dsx.measure import latency_ms", "points up or sideways"),
    ("measure/a.py", "from dsx import search", "no layer"),
    ("measure/a.py", "import dsx\nx = dsx.search", "no layer"),
    ("conv/a.py", "from . import spec", "is relative"),
    ("conv/a.py", "from ..errors import DsxError", "is relative"),
    ("study/run.py", "import optuna", "is only for study/store.py"),
    ("measure/params.py", "from fvcore import nn", "is only for measure/flops.py"),
    ("cli/search.py", "def f():\n    from rich.table import Table", "is only for report/"),
    ("report/a.py", "import typer", "is only for cli/"),
    ("study/other.py", "import moocore", "is only for study/dominance.py"),
    ("export/a.py", "import matplotlib.pyplot", "is only for report/"),
    ("cli/a.py", "import click", "is only for nobody"),
    ("conv/a.py", "x = 1\n" * 401, "more than 400 lines"),
    ("conv/a.py", "def f():\n" + "    x = 1\n" * 60, "f has 60 lines or more"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "reason"), PLANTED)
def test_a_planted_violation_is_found(path: str, text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text)
    (found,) = violations(tmp_path)
    assert found.startswith(path) and reason in found


ALLOWED = [
    ("conv/a.py", "from dsx.conv.spec import ConvSpec\nfrom dsx.errors import DsxError"),
    ("__main__.py", "import typer\nfrom dsx.cli import app"),
    ("report/a.py", "import plotly.graph_objects\nfrom rich import print\nimport dsx.study.front"),
    ("cli/a.py", "import typer\nfrom dsx import conv, study"),
    ("space/a.py", "import dsx\nx = dsx.__version__"),
    ("__init__.py", "from dsx.study.run import search"),
    ("conv/a.py", "def f():\n" + "    x = 1\n" * 59),
]


@pytest.mark.parametrize(("path", "text"), ALLOWED)
def test_what_is_allowed_is_not_a_violation(path: str, text: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text)
    assert violations(tmp_path) == []
