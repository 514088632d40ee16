"""Lookup of variants by file name: the folder is the registry.

A kind of variant (network, metric, kernel shape ...) is a record type defined in
`<package>/_base.py`. A variant is a module of the same package that binds a record of that type to
the name of the type in capitals: `dsx/nets/small_cnn.py` ends with `NET = Net(...)` and is called
`small_cnn`. Variants need no registration.
"""

import ast
import functools
import importlib
import pkgutil
from pathlib import Path
from typing import TypeVar

from dsx.errors import DsxError, quoted, raise_out_of_memory, unknown
from dsx.own_modules import name_module
from dsx.trust import check_trusted

T = TypeVar("T")


def names(kind: type) -> list[str]:
    """List the variants of a kind.

    Args:
        kind: Record type, such as `dsx.nets.Net`.

    Returns:
        The file names of the variants in alphabetical order; no variant is imported.
    """
    return list(_names(_package(kind), kind.__name__.upper()))


def find(kind: type[T], name: str) -> T:
    """Load one variant.

    Args:
        kind: Record type, such as `dsx.nets.Net`.
        name: Name of a file in the folder of the kind, or the import path
            `package.module:attribute` of a record outside of dsx.

    Returns:
        The record.

    Raises:
        DsxError: If there is no such variant, or the object found is not of that kind.
    """
    if "." in name or ":" in name:
        record = load(name)
        where = name
    elif name in names(kind):
        where = f"{_package(kind)}.{name}"
        record = getattr(importlib.import_module(where), kind.__name__.upper())
    else:
        raise DsxError(unknown(kind.__name__.lower(), name, names(kind)))
    if not isinstance(record, kind):
        raise DsxError(f"{where} is a {type(record).__name__}, not a {kind.__name__}")
    return record


def load(path: str) -> object:
    """Import an attribute by its import path.

    Args:
        path: Import path `package.module:attribute`; the module is on `sys.path` or in the current
            folder.

    Returns:
        The attribute.

    Raises:
        DsxError: If the path has another form or is not trusted (see `dsx.trust`), the module
            cannot be imported, or the attribute is missing.
    """
    module_name, colon, attribute = path.partition(":")
    if not (module_name and colon and attribute) or module_name.startswith("."):
        raise DsxError(f"{quoted(path)} is not an import path (write package.module:attribute)")
    check_trusted(path)
    name_module(module_name)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise DsxError(f"cannot import {quoted(module_name)} of {quoted(path)}: {error}") from error
    # Importing runs user code, which may raise any exception.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise DsxError(
            f"importing {quoted(module_name)} of {quoted(path)} fails: {reason}"
        ) from error
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise DsxError(unknown(f"attribute of {module_name}", attribute, public))
    return getattr(module, attribute)


def _package(kind: type) -> str:
    return kind.__module__.rpartition(".")[0]


@functools.cache
def _names(package: str, constant: str) -> tuple[str, ...]:
    folder = importlib.import_module(package).__path__
    found = []
    for info in pkgutil.iter_modules(folder):
        file = Path(info.module_finder.path) / f"{info.name}.py"  # type: ignore[union-attr]
        if not info.ispkg and not info.name.startswith("_") and _binds(file, constant):
            found.append(info.name)
    return tuple(sorted(found))


def _binds(file: Path, constant: str) -> bool:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        else:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == constant for target in targets):
            return True
    return False
