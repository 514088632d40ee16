"""Print what an export wrote."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsx.report.console import console
from dsx.report.listing import listing, print_rows


def print_bundle(folder: Path, manifest: Mapping[str, Any], format: str) -> None:
    """Print an export's manifest to stdout.

    Args:
        folder: Where the files are.
        manifest: The content of manifest.json.
        format: "table", "json" or "csv".
    """
    rows = [
        {
            "metric": name,
            "searched": numbers.get("searched", numbers.get("designed", "")),
            "exported": numbers.get("exported", ""),
        }
        for name, numbers in manifest["metrics"].items()
    ]
    if format == "json":
        sys.stdout.write(json.dumps(manifest, indent=2) + "\n")
        return
    if format == "csv":
        print_rows(rows, format, {}, "metrics")
        return
    out = console()
    out.print(f"{folder}: {manifest['words']} (design {manifest['design']})", soft_wrap=True)
    for row in rows:
        for name in ("searched", "exported"):
            row[name] = _readable(row[name])
    out.print(listing(rows))
    outputs = manifest["outputs"]
    out.print(
        f"checked in a fresh process on {outputs['images']} images: outputs differ by at most "
        f"{outputs['largest_difference']:.1g} of the largest (allowed {outputs['tolerance']:g})",
        soft_wrap=True,
    )
    out.print(f"files: {', '.join([*manifest['files'], 'manifest.json'])}", soft_wrap=True)


def _readable(number: object) -> str:
    """Write a count in full, all else to six digits."""
    if not isinstance(number, int | float):
        return str(number)
    return f"{number:,.0f}" if number == round(number) else f"{number:.6g}"
