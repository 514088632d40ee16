"""Docstrings of public functions have the sections of the Google style that they need.

ruff checks the descriptions of arguments inside a section `Args`, but not that there is one.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import dsx

ROOT = Path(dsx.__file__).parent
PREDICATES = ("Return ", "Check whether ")
"""First words of a docstring that describes the result, so that `Returns` may be omitted."""


def public_functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Yield the public functions of a module and the public methods of its public classes."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name.startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from public_functions(node)
        elif isinstance(node, ast.FunctionDef):
            yield node


def statements(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of functions inside it."""
    nodes: list[ast.AST] = list(function.body)
    while nodes:
        node = nodes.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            nodes.extend(ast.iter_child_nodes(node))


def missing_sections(function: ast.FunctionDef) -> list[str]:
    """Return the sections that the docstring of a function lacks."""
    text, decorators = ast.get_docstring(function) or "", map(ast.unparse, function.decorator_list)
    if any("overload" in decorator for decorator in decorators):
        return []
    given = function.args
    names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    names += [arg.arg for arg in (given.vararg, given.kwarg) if arg is not None]
    nodes = list(statements(function))
    returns = any(isinstance(node, ast.Return) and node.value is not None for node in nodes)
    raises = any(isinstance(node, ast.Raise) and node.exc is not None for node in nodes)
    is_property = any("property" in ast.unparse(each) for each in function.decorator_list)
    needed = {
        "Args:": bool(set(names) - {"self", "cls"}),
        "Returns:": returns and not is_property and not text.startswith(PREDICATES),
        "Raises:": raises,
    }
    return [section for section, is_needed in needed.items() if is_needed and section not in text]


def gaps(source: str) -> list[str]:
    """Return the functions of a module whose docstrings lack a section."""
    return [
        f"{function.lineno}: {function.name} lacks {' '.join(missing)}"
        for function in public_functions(ast.parse(source))
        if (missing := missing_sections(function))
    ]


def test_public_functions_describe_arguments_results_and_errors() -> None:
    # The help texts of options describe the arguments of a command.
    files = [file for file in ROOT.rglob("*.py") if file.parent != ROOT / "cli"]
    found = [
        f"{file.relative_to(ROOT)}:{gap}"
        for file in sorted(files)
        for gap in gaps(file.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_gaps_are_found() -> None:
    source = '''
def build(width):
    """Build a network."""
    if width < 1:
        raise ValueError(width)
    return width

def is_small(self):
    """Check whether it is small."""
    return True

def _private(x):
    return x
'''
    assert gaps(source) == ["2: build lacks Args: Returns: Raises:"]
