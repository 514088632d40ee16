"""Findings of an interrupted benchmark, saved so that it can be resumed."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

import dsx
from dsx import files
from dsx.conv.native import Kernels, kernels
from dsx.errors import WorkFailed
from dsx.measure import this_device

Findings = Mapping[str, Any]

_LOG = logging.getLogger(__name__)
_SOURCES = (".py", ".cpp", ".h")
"""Endings of the files on which findings depend."""


def versions(packages: Sequence[str] = ()) -> dict[str, str]:
    """Return the versions of torch and of other packages.

    Args:
        packages: Names of the other packages.

    Returns:
        The version of each package; empty for one that is not installed.
    """
    found = {}
    for name in ("torch", *packages):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


class Saved:
    """The findings of an incomplete benchmark in the cache folder of the user.

    Args:
        name: Name of the benchmark.
        packages: Packages on whose versions the findings depend, in addition to torch.
    """

    def __init__(self, name: str, packages: Sequence[str] = ()) -> None:
        self.name, self.packages = name, packages

    @cached_property
    def file(self) -> Path:
        """Path of the file."""
        return user_cache_path("dsx") / f"{self.name}.json"

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """Facts on which the findings depend, including the source code of dsx."""
        digest = hashlib.sha256()
        for source in sorted(Path(dsx.__path__[0]).rglob("*")):
            if source.suffix in _SOURCES:
                digest.update(source.read_bytes())
        compiled = kernels()
        return {
            "source code of dsx": digest.hexdigest(),
            "versions of packages": versions(self.packages),
            "device": this_device().fingerprint,
            "compiled kernels": compiled.identity if isinstance(compiled, Kernels) else None,
        }

    def load(self) -> dict[str, Findings]:
        """Load the saved findings.

        Returns:
            The findings by part of the benchmark; empty if they depend on other versions or on
            another device, which is logged.

        Raises:
            WorkFailed: If the file cannot be read.
        """
        try:
            content = json.loads(self.file.read_bytes())
            facts, findings = dict(content["facts"]), dict(content["findings"])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise WorkFailed(f"{self.file} cannot be read (delete it): {error}") from error
        other = [name for name, value in self._facts.items() if facts.get(name) != value]
        if not other:
            return findings
        _LOG.warning(
            "%s: %d saved findings are discarded, because they were made with another state of: %s",
            self.file, len(findings), ", ".join(other),
        )  # fmt: skip
        return {}

    def save(self, findings: Mapping[str, Findings]) -> None:
        """Write all findings.

        Args:
            findings: Findings by part of the benchmark.

        Raises:
            WorkFailed: If the file cannot be written.
        """
        content = {"facts": self._facts, "findings": dict(findings)}
        try:
            files.make_folder(self.file.parent)
            files.write(self.file, json.dumps(content, indent=1), replace=True)
        except OSError as error:
            raise WorkFailed(f"{self.file} cannot be written: {error}") from error

    def remove(self) -> None:
        """Delete the file after the benchmark is complete."""
        self.file.unlink(missing_ok=True)
