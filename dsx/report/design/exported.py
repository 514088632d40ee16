"""The result of an export, as table, JSON or CSV."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dsx.analysis import Estimate
from dsx.report.design.measured import Row
from dsx.report.text.console import console, transliterate
from dsx.report.text.escape import json_text
from dsx.report.text.listing import listing, print_rows
from dsx.report.text.numbers import annotated, flag_notes, kind, title
from dsx.store.studies import describe_unfolded

Numbers = Mapping[str, Any]
"""Values of one metric in the manifest."""

_COLUMNS = "searched", "exported"
_OF_DEPLOYED = "deployed_"
"""Prefix of counts of the deployed network, before the name of the count of the design."""

_COUNTED = (
    "counts: searched are the live weights; exported are those that the files contain (tensors "
    "that are not stored are listed in manifest.json)"
)
_DEPLOYED = (
    "deployed: counts of the loaded network, with folded batch norms and the zeros of dense forms"
)
_TRAINED = "weights: trained for this export, because no weights of this training are stored"
_NATIVE = (
    "native forms: the first load compiles the kernels with a C++ compiler, which takes up to a "
    "minute; they run on the CPU"
)
_RUNNING = ("running_mean", "running_var", "num_batches_tracked")


def print_bundle(folder: Path, manifest: Mapping[str, Any], format: str) -> None:
    """Print the manifest of an export to stdout.

    Args:
        folder: Folder of the export.
        manifest: Content of manifest.json.
        format: "table", "json" or "csv".
    """
    metrics = manifest["metrics"]
    if format == "json":
        sys.stdout.write(json_text(json.dumps(manifest, indent=2)) + "\n")
        return
    if format == "csv":
        print_rows(
            [_row(name, numbers) for name, numbers in metrics.items()], format, {}, "metrics"
        )
        return
    out = console()
    out.print(f"{folder}: {manifest['description']} (design {manifest['design']})", soft_wrap=True)
    ascii_only = out.options.ascii_only
    shown = [
        _shown(name, numbers, ascii_only)
        for name, numbers in metrics.items()
        if not _repeats(name, metrics)
    ]
    out.print(listing(shown, right=("searched", "exported")))
    for line in [*_notes(metrics), *_sizes(manifest)]:
        out.print(line, style="dim", soft_wrap=True)
    outputs = manifest["outputs"]
    out.print(
        f"verified in a fresh process on {outputs['images']} images: outputs differ by at most "
        f"{outputs['largest_difference']:.1g} of the largest (allowed: {outputs['tolerance']:g})",
        soft_wrap=True,
    )
    if manifest["trained_for_export"]:
        out.print(_TRAINED, soft_wrap=True)
    if manifest["unfolded_norms"]:
        remaining = describe_unfolded(manifest["folded_norms"], manifest["unfolded_norms"])
        out.print(f"batch norms: {remaining}", soft_wrap=True)
    for skipped in manifest["not_verified"]:
        out.print(f"not verified: {skipped['check']}: {skipped['reason']}", soft_wrap=True)
    if manifest["kernels"] is not None:
        out.print(_NATIVE, soft_wrap=True)
    # The files of a folder are many.
    files = dict.fromkeys(re.sub("/.*", "/", name) for name in manifest["files"])
    out.print(f"files: {', '.join([*files, 'manifest.json'])}", soft_wrap=True)


def _row(name: str, numbers: Numbers) -> Row:
    found = {column: _number(numbers, column) for column in _COLUMNS}
    return {"metric": name, **{c: "" if v is None else v.value for c, v in found.items()}}


def _shown(name: str, numbers: Numbers, ascii_only: bool) -> Row:
    unit = numbers["unit"]
    found = {column: _number(numbers, column) for column in _COLUMNS}
    cells = {
        column: "" if value is None else transliterate(_exact(value, unit), ascii_only)
        for column, value in found.items()
    }
    return {"metric": title(name, unit), **cells}


def _number(numbers: Numbers, column: str) -> Estimate | None:
    """Look up the value of a column; for a count the designed value is the searched one."""
    value = numbers.get(column, numbers.get("designed") if column == "searched" else None)
    if value is None:
        return None
    before = "searched_" if column == "searched" else ""
    return Estimate(
        value=value,
        low=numbers.get(f"{before}low", value),
        high=numbers.get(f"{before}high", value),
        converged=numbers.get(f"{before}converged", True),
        noisy=numbers.get(f"{before}noisy", False),
    )


def _exact(value: Estimate, unit: str) -> str:
    """Format a value, with all digits of a count, so that equal counts can be recognised."""
    return (
        f"{value.value:,.0f}" if value.exact and kind(unit) == "count" else annotated(value, unit)
    )


def _notes(metrics: Mapping[str, Numbers]) -> Iterator[str]:
    found = [_number(numbers, column) for numbers in metrics.values() for column in _COLUMNS]
    yield from flag_notes([value for value in found if value is not None])
    counts = [numbers for numbers in metrics.values() if "designed" in numbers]
    if any(
        numbers["designed"] != numbers.get("exported", numbers["designed"]) for numbers in counts
    ):
        yield _COUNTED
    if any(name.startswith(_OF_DEPLOYED) and not _repeats(name, metrics) for name in metrics):
        yield _DEPLOYED


def _repeats(name: str, metrics: Mapping[str, Numbers]) -> bool:
    """Check whether a count of the deployed network was not searched and equals the design's."""
    designed = metrics.get(name.removeprefix(_OF_DEPLOYED), {}).get("designed")
    own = metrics[name]
    return name.startswith(_OF_DEPLOYED) and "searched" not in own and own["exported"] == designed


def _sizes(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Describe the weight file; yields nothing for a manifest without sizes."""
    found = manifest.get("weights")
    if found is None:
        return
    groups = {"running statistics": 0, "other": 0}
    parts = []
    for entry in found["overhead"]:
        if entry["name"] == "header of the file":
            parts.append(f"{entry['bytes']:,} header")
        else:
            running = entry["name"].endswith(_RUNNING)
            groups["running statistics" if running else "other"] += entry["bytes"]
    parts += [f"{size:,} {name}" for name, size in groups.items() if size]
    yield (
        f"weights.safetensors: {found['payload_bytes']:,} bytes for {found['payload_bits']:,} bits "
        f"of the design, {found['overhead_bytes']:,} bytes of overhead ({', '.join(parts)}; "
        "see manifest.json)"
    )
    reasons: dict[str, list[str]] = {}
    for entry in found["not_stored"]:
        reasons.setdefault(entry["reason"], []).append(entry["tensor"])
    for reason, names in reasons.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"not stored: {names[0]}{more} ({reason})"
