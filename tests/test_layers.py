"""Imports point one way, each library has one importer, and files and functions are small."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from torch import nn

import dsx

ROOT = Path(dsx.__file__).parent
LAYERS = [
    {"__main__"}, {"cli"}, {"bench"}, {"export"}, {"report"}, {"search"}, {"store"}, {"measure"},
    {"train"}, {"space"}, {"conv", "data", "nets"}, {"files"}, {"lookup", "analysis", "streams"},
    {"activity", "own_modules", "trust"}, {"errors"},
    {"allocator", "secret", "plain", "process", "torch_private"},
]  # fmt: skip
"""Packages from the top down; `dsx/__init__.py`, which re-exports their names, is above all."""

LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
IMPORTERS = {
    "optuna": ["search/sampling/", "bench/searching/"],
    "optuna_dashboard": ["search/sampling/dashboard.py"],
    "sqlalchemy": ["store/", "search/sampling/"],
    "alembic": ["store/database/"],
    "fvcore": ["measure/metrics/flops.py"],
    "moocore": ["analysis/dominance/pareto.py"],
    "typer": ["cli/", "__main__.py"],
    "click": [],
    "rich": ["report/"],
    "plotly": ["report/"],
    "matplotlib": ["report/"],
    "PIL": ["data/"],
    "yaml": ["space/yaml/", "export/bundle.py"],
    "scipy": [
        "analysis/",
        "measure/timing/statistics.py",
        "measure/metrics/accuracy.py",
        "search/screening/",
    ],
    "pyarrow": ["data/_parquet_files.py"],
    "triton": ["conv/native/gpu/kernels.py"],
    "pynvml": ["measure/machine/nvml.py"],
    "onnxruntime": ["measure/backends/onnxruntime.py"],
    "onnxscript": ["measure/backends/onnxruntime.py"],
    "openvino": ["measure/backends/openvino.py"],
    "timm": ["bench/zoo/libraries.py"],
    "torchvision": ["bench/zoo/libraries.py"],
    "transformers": ["bench/zoo/libraries.py"],
}
"""Files and folders that may import a library."""

VARIANTS = {
    "bench", "cli", "conv/deploy", "conv/sparsity/shapes", "data", "measure/backends",
    "measure/metrics", "nets",
}  # fmt: skip
"""Folders whose public files are variants, of which any package may import any number."""

PRIVATE = "torch_private.py"
"""The only file that names private modules, classes and attributes of torch."""

NOT_OF_TORCH = {"_asdict", "_replace", "_mapping", "_trial_id", "_getframe"}
"""Private names in dsx that are not of torch: of named tuples, SQLAlchemy, Optuna and sys."""

MODULE_ATTRIBUTES = {name for name in vars(nn.Module()) if name.startswith("_")}
"""Private attributes of a module of torch, such as `_forward_hooks`."""

FACTS = {"", "__version__", "__path__", "__file__"}
"""Attributes of the package that every layer may use."""

COMMAND_LINES = {"bench/_searches.py", "bench/zoo/searches.py"}
"""Files below the command line that start `dsx` as a process."""

OPTION = re.compile(r"(?<![\w-])--[a-z]")
FILES, LINES, FUNCTION = 12, 400, 40


def imports(tree: ast.AST) -> Iterator[tuple[str, list[str], int]]:
    """Yield the imports of a file, also inside functions: module, names, line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, [], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = "." * node.level + (node.module or "")
            if module == "dsx":
                # `from dsx import conv` imports dsx.conv.
                yield from ((f"dsx.{name}", [], node.lineno) for name in names)
            else:
                yield module, names, node.lineno
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "dsx":
            yield f"dsx.{node.attr}", [], node.lineno


def private_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Walk over the private names in a file that may be torch's: name, line.

    A private attribute of anything except `self` and `cls` counts unless the file itself defines
    or sets the name, and so does the name of a private module of torch in a string.
    """
    own = set(NOT_OF_TORCH)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if ast.unparse(node.value) not in ("self", "cls") and node.attr not in own:
                yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if text.startswith("torch._") or text in MODULE_ATTRIBUTES:
                yield text, node.lineno
    for module, names, line in imports(tree):
        library = module.partition(".")[0]
        for name in [f"{module}.{each}" for each in names] or [module]:
            if library == "torch" and any(map(is_private, name.split("."))):
                yield name, line


def is_private(name: str) -> bool:
    """Check whether a name is private by its underscore; Python's own names are not."""
    return name.startswith("_") and not name.startswith("__")


def is_variant(path: Path, root: Path) -> bool:
    """Check whether a file is a variant, which lookup finds by its name."""
    folder = path.parent.relative_to(root).as_posix()
    return folder in VARIANTS and not path.name.startswith("_")


def wrong_import(path: str, name: str, root: Path) -> str:
    """Return the error of an import of a module in a file; empty if it is allowed."""
    library, _, rest = name.partition(".")
    if not library:
        return "is relative"
    if library in IMPORTERS:
        allowed = IMPORTERS[library]
        fits = any(f"{path}/".startswith(place) for place in allowed)
        return "" if fits else f"is only for {', '.join(allowed) or 'no file'}"
    here, there = Path(path).parts[0].removesuffix(".py"), rest.partition(".")[0]
    if library != "dsx" or here in ("__init__", there) or there in FACTS:
        return ""
    if not {here, there} <= LEVEL.keys():
        return "leads from or to no layer"
    if LEVEL[here] >= LEVEL[there]:
        return "points up or sideways"
    file = root.joinpath(*rest.split(".")).with_suffix(".py")
    if "." in rest and file.is_file() and not is_variant(file, root):
        return "is of a file inside another package, not of the package"
    return ""


def named_options(tree: ast.AST) -> Iterator[int]:
    """List the lines of strings that name an option of the command line, docstrings excluded."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and ast.get_docstring(node) is not None
        if isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if id(node) not in docstrings and OPTION.search(node.value):
            yield node.lineno


def statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a function without signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    assert function.end_lineno is not None
    return function.end_lineno - body[0].lineno + 1


def violations(root: Path) -> list[str]:
    """Return the violations in a folder, as file:line: reason."""
    found = []
    for file in sorted(root.rglob("*.py")):
        path, text = file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        for name, _, line in imports(tree):
            if reason := wrong_import(path, name, root):
                found.append(f"{path}:{line}: import of {name} {reason}")
        if not path.startswith("cli/") and path not in COMMAND_LINES:
            found += [f"{path}:{line}: names an option" for line in named_options(tree)]
        if path != PRIVATE:
            for name, line in private_names(tree):
                found.append(f"{path}:{line}: {name} is private and belongs into {PRIVATE}")
        if len(text.splitlines()) > LINES:
            found.append(f"{path}: more than {LINES} lines")
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if statements(node) > FUNCTION:
                found.append(f"{path}:{node.lineno}: {node.name} has over {FUNCTION} lines")
    return found + crowded(root)


def crowded(root: Path) -> list[str]:
    """Return the folders with too many files; `__init__.py` and variants do not count."""
    files = Counter(
        path.parent.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if path.name != "__init__.py" and not is_variant(path, root)
    )
    return [f"{folder}/: more than {FILES} files" for folder, n in files.items() if n > FILES]


def graph(root: Path) -> dict[str, set[str]]:
    """Return the files that each file imports, by dotted name, without `__init__.py`."""
    files = {
        ".".join(("dsx", *path.relative_to(root).with_suffix("").parts)): path
        for path in root.rglob("*.py")
        if path.name != "__init__.py"
    }
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        wanted = {
            target
            for module, names, _ in imports(tree)
            for target in (module, *(f"{module}.{each}" for each in names))
        }
        found[name] = wanted & files.keys() - {name}
    return found


def cycle(root: Path) -> list[str]:
    """Return the files of an import cycle, if there is one."""
    try:
        TopologicalSorter(graph(root)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_packages_are_in_order() -> None:
    assert violations(ROOT) == []


def test_no_files_import_each_other() -> None:
    assert cycle(ROOT) == []


def test_every_file_belongs_to_a_layer() -> None:
    inside = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}
    assert inside <= {"__init__", *LEVEL}


PLANTED = [
    ("conv/a.py", "from dsx.space import slots", "points up or sideways"),
    ("conv/a.py", "def f():\n    import dsx.measure.flops", "points up or sideways"),
    ("conv/a.py", "if True:\n    from dsx import search", "points up or sideways"),
    ("nets/a.py", "from dsx.conv import build", "points up or sideways"),
    ("data/a.py", "import dsx.nets", "points up or sideways"),
    ("report/a.py", "from dsx.export import export", "points up or sideways"),
    ("errors.py", "from dsx.lookup import find", "points up or sideways"),
    ("train.py", "from dsx.measure import latency_ms", "points up or sideways"),
    ("measure/a.py", "from dsx import front", "no layer"),
    ("measure/a.py", "import dsx\nx = dsx.front", "no layer"),
    ("conv/a.py", "from . import spec", "is relative"),
    ("conv/a.py", "from ..errors import DsxError", "is relative"),
    ("search/run.py", "import optuna", "is only for search/sampling/"),
    ("search/run.py", "from sqlalchemy import select", "is only for store/"),
    ("search/run.py", "from alembic import op", "is only for store/database/"),
    ("measure/params.py", "from fvcore import nn", "is only for measure/metrics/flops.py"),
    ("cli/search.py", "def f():\n    from rich.table import Table", "is only for report/"),
    ("report/a.py", "import typer", "is only for cli/"),
    ("analysis/other.py", "import moocore", "is only for analysis/dominance/pareto.py"),
    ("export/a.py", "import matplotlib.pyplot", "is only for report/"),
    ("cli/a.py", "import click", "is only for no file"),
    ("search/a.py", 'x = f"{y} (add --trials)"', "names an option"),
    ("search/a.py", "x = ['--trials']", "names an option"),
    ("conv/a.py", "from torch._ops import OpOverload", "is private"),
    ("conv/a.py", "from torch.utils import _pytree", "is private"),
    ("conv/a.py", "import torch\ncheck = torch._assert", "is private"),
    ("conv/a.py", "def f(m):\n    return m._forward_hooks", "is private"),
    ("conv/a.py", "def f(m):\n    return getattr(m, '_parameters')", "is private"),
    ("conv/a.py", "import sys\nloaded = 'torch._dynamo' in sys.modules", "is private"),
    ("conv/a.py", "x = 1\n" * 401, "more than 400 lines"),
    ("conv/a.py", "def f():\n" + "    x = 1\n" * 41, "f has over 40 lines"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("cli/a.py", "x = '--trials'"),
        ("search/a.py", '"""Run by `dsx search --json`."""'),
        ("search/a.py", "x = '<!-- a -- b -->'"),
    ],
)
def test_options_are_named_by_the_command_line_and_in_docstrings(
    path: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text)
    assert violations(tmp_path) == []


@pytest.mark.parametrize(("path", "text", "reason"), PLANTED)
def test_a_planted_violation_is_found(path: str, text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text)
    (found,) = violations(tmp_path)
    assert found.startswith(path) and reason in found


def test_an_import_of_a_file_inside_another_package_is_found(tmp_path: Path) -> None:
    for path, text in (
        ("space/a.py", "from dsx.conv.spec.spec import ConvSpec\nfrom dsx.conv.spec import KEEP"),
        ("space/b.py", "from dsx.nets.tiny import NET\nfrom dsx.nets._base import Net"),
        ("conv/spec/spec.py", ""),
        ("nets/tiny.py", ""),
        ("nets/_base.py", ""),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    first, second = violations(tmp_path)
    assert first.startswith("space/a.py:1: import of dsx.conv.spec.spec is of a file inside")
    assert second.startswith("space/b.py:2: import of dsx.nets._base is of a file inside")


def test_a_folder_with_too_many_files_is_found(tmp_path: Path) -> None:
    (tmp_path / "conv").mkdir()
    (tmp_path / "nets").mkdir()
    for number in range(13):
        (tmp_path / "conv" / f"file{number}.py").write_text("")
        (tmp_path / "nets" / f"variant{number}.py").write_text("")
    assert violations(tmp_path) == ["conv/: more than 12 files"]


def test_a_cycle_is_found(tmp_path: Path) -> None:
    (tmp_path / "conv").mkdir()
    (tmp_path / "conv" / "a.py").write_text("from dsx.conv.b import f")
    (tmp_path / "conv" / "b.py").write_text("def g():\n    from dsx.conv import a")
    assert set(cycle(tmp_path)) == {"dsx.conv.a", "dsx.conv.b"}
    (tmp_path / "conv" / "b.py").write_text("")
    assert cycle(tmp_path) == []


ALLOWED = [
    ("conv/a.py", "from dsx.conv.spec import ConvSpec\nfrom dsx.errors import DsxError"),
    ("__main__.py", "import typer\nfrom dsx.cli import app"),
    ("report/a.py", "import plotly.graph_objects\nfrom rich import print\nimport dsx.search"),
    ("cli/a.py", "import typer\nfrom dsx import conv, search"),
    ("space/a.py", "import dsx\nx = dsx.__version__"),
    ("__init__.py", "from dsx.search.loop import search"),
    ("torch_private.py", "import torch\ncheck = torch._assert"),
    ("conv/a.py", "class A:\n    def f(self, other):\n        self._x = other._x"),
    ("conv/a.py", "def f():\n    '''Long.\n\n    Text.\n    '''\n" + "    x = 1\n" * 40),
]


@pytest.mark.parametrize(("path", "text"), ALLOWED)
def test_what_is_allowed_is_not_a_violation(path: str, text: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text)
    assert violations(tmp_path) == []
