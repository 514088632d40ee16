"""Print figures about the modules of dsx, and draw their import graph.

python docs/imports.py              # modules, lines, files per folder, cycles
python docs/imports.py graph.svg    # also the graph: one dot per module, all lines point down
"""

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

ROOT = Path(__file__).parent.parent / "dsx"
Graph = Mapping[str, set[str]]


def modules() -> dict[str, Path]:
    """Return the file of each module of dsx by its dotted name; packages are not modules."""
    return {
        ".".join(("dsx", *path.relative_to(ROOT).with_suffix("").parts)): path
        for path in sorted(ROOT.rglob("*.py"))
        if path.name != "__init__.py"
    }


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each import of a file, also inside functions.

    Args:
        path: Python file.

    Yields:
        Module and imported name; the name is empty for `import module`.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def origin(module: str, name: str, files: Mapping[str, Path]) -> str:
    """Return the module that defines an imported name, through the `__init__.py` of packages.

    Args:
        module: Module or package of the import statement.
        name: Imported name; empty for the module itself.
        files: File of each module by its dotted name.

    Returns:
        Dotted name of a module of dsx; empty if the name is not defined in one.
    """
    for candidate in (f"{module}.{name}", module):
        if candidate in files:
            return candidate
    init = ROOT.joinpath(*module.split(".")[1:], "__init__.py")
    if module.partition(".")[0] != "dsx" or module == "dsx" or not init.is_file():
        return ""
    for source, each in imported(init):
        if each == name:
            return origin(source, each, files)
    return ""


def graph(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return the modules that each module imports.

    Args:
        files: File of each module by its dotted name.

    Returns:
        Imported modules by importing module.
    """
    return {
        name: {origin(*each, files) for each in imported(path)} - {"", name}
        for name, path in files.items()
    }


def cycle(imports: Graph) -> list[str]:
    """Return one cycle of imports; empty if there is none.

    Args:
        imports: Imported modules by importing module.

    Returns:
        Names of the modules of the cycle.
    """
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def package(module: str) -> str:
    """Return the package of a module.

    Args:
        module: Dotted name of the module.

    Returns:
        Name of the package, or of the module itself if it is directly in dsx.
    """
    return module.split(".")[1]


def summary(files: Mapping[str, Path], imports: Graph) -> list[str]:
    """Return the figures about the modules, one per line.

    Args:
        files: File of each module by its dotted name.
        imports: Imported modules by importing module.

    Returns:
        Number of modules, lines, files per folder, imports and cycles.
    """
    lengths = {
        name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files.items()
    }
    longest = max(lengths, key=lambda name: lengths[name])
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in files.values())
    folder, most = folders.most_common(1)[0]
    found = cycle(imports)
    return [
        f"modules: {len(files)} in {len(folders)} folders, {sum(lengths.values()):,} lines",
        f"lines of a module: median {statistics.median(lengths.values()):.0f}, "
        f"at most {lengths[longest]} ({longest})",
        f"files of a folder: median {statistics.median(folders.values()):.0f}, "
        f"at most {most} ({folder})",
        f"imports between modules: {sum(map(len, imports.values())):,}",
        f"cycles: {' -> '.join(found) if found else 'none'}",
    ]


def levels(imports: Graph) -> list[list[str]]:
    """Return the nodes of a graph in levels: each node imports only nodes of later levels.

    Args:
        imports: Imported nodes by importing node, without cycles.

    Returns:
        Levels from the top down, each sorted by name.
    """
    sorter = TopologicalSorter(imports)
    sorter.prepare()
    found = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        found.append(ready)
        sorter.done(*ready)
    return found[::-1]


def packages(imports: Graph) -> list[str]:
    """Return the packages from the top down: each imports only later ones.

    Args:
        imports: Imported modules by importing module.

    Returns:
        Names of packages, and of modules directly in dsx.
    """
    between: dict[str, set[str]] = {package(name): set() for name in imports}
    for name, found in imports.items():
        between[package(name)] |= {package(each) for each in found} - {package(name)}
    return [name for level in levels(between) for name in level]


def draw(imports: Graph) -> Figure:
    """Draw the import graph: a band per package, a dot per module, a line per import.

    Args:
        imports: Imported modules by importing module, without cycles.

    Returns:
        The figure.
    """
    place: dict[str, tuple[float, float]] = {}
    figure = Figure(figsize=(11, 13), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    top = 0.0
    for number, name in enumerate(packages(imports)):
        own = {each: found for each, found in imports.items() if package(each) == name}
        rows = levels({each: found & own.keys() for each, found in own.items()})
        for depth, row in enumerate(rows):
            for column, each in enumerate(row):
                place[each] = ((column + 1) / (len(row) + 1), top - depth)
        middle, colour = top - (len(rows) - 1) / 2, f"C{number % 10}"
        xs, ys = zip(*(place[each] for each in own), strict=True)
        axes.scatter(xs, ys, s=14, color=colour, zorder=2)
        axes.text(-0.01, middle, f"{name} ({len(own)})", ha="right", va="center", color=colour)
        top -= len(rows) + 1
    lines = [[place[name], place[each]] for name, found in imports.items() for each in found]
    axes.add_collection(LineCollection(lines, colors="#88888838", linewidths=0.4, zorder=1))
    axes.axis("off")
    axes.set_title(f"{len(place)} modules, {len(lines):,} imports, all of them downwards")
    return figure


def main(arguments: Sequence[str]) -> None:
    """Print the figures, and draw the graph if a file is named.

    Args:
        arguments: Command line without the name of the program.
    """
    files = modules()
    imports = graph(files)
    print("\n".join(summary(files, imports)))
    if arguments:
        draw(imports).savefig(arguments[0])


if __name__ == "__main__":
    main(sys.argv[1:])
