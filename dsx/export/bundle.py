"""The folder of an exported design: model, weights, design and manifest."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

import dsx
from dsx.analysis import Estimate
from dsx.export import checks, verify
from dsx.export._base import Exporter
from dsx.export.checks import Skipped
from dsx.export.kernels import is_built
from dsx.export.model_py import WEIGHTS
from dsx.export.packing.contents import read_contents
from dsx.export.place import MANIFEST, atomic_export, check_place, writing_temporary
from dsx.files import as_text, sealed, sha256
from dsx.lookup import find
from dsx.measure import Candidate, Exported, Measurement, Metric, this_device
from dsx.measure.backends import resolved
from dsx.process import torch_threads
from dsx.search.design import SelectedDesign
from dsx.space import Design, SearchSpace

SCHEMA_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """An exported design.

    Args:
        folder: Folder of the files.
        manifest: Content of manifest.json.
    """

    folder: Path
    manifest: Mapping[str, Any]


def export(
    choice: SelectedDesign, out: Path, *, force: bool = False, exporter: str = "model_py"
) -> Bundle:
    """Write a design as files that require only torch, and verify them in a fresh process.

    Args:
        choice: Design to export. It is trained again if it has no weights. The exported model is
            compared with its metrics.
        out: Folder to write; it must be missing or empty.
        force: Whether an earlier export may be replaced; other files are never replaced.
        exporter: Name of the export format.

    Returns:
        The folder and the content of the manifest.

    Raises:
        DsxError: If the folder contains files that must not be replaced, or cannot be written.
        WorkFailed: If the network cannot be written, or the exported model differs from the
            network that was searched; then nothing is written or replaced.
    """
    check_place(out, force)
    writer = find(Exporter, exporter)
    space, design = choice.space, choice.design
    candidate = Candidate(space, design, choice.form_cache, choice.reference_times)
    with torch_threads(space.file.measure.threads), atomic_export(out, force) as folder:
        _train_or_restore(candidate, choice.weights)
        skipped: list[Skipped] = []
        checks.check_weights(candidate, choice.metrics, skipped)
        headline = (
            f"{design.description(space.analysis)} in {space.file.model} (design {design.id})."
        )
        with writing_temporary():
            writer.write(candidate.deployed, candidate.sample, headline, folder)
            (folder / "design.yaml").write_text(_design_yaml(space, design), encoding="utf-8")
        manifest = sealed(_manifest(candidate, folder, choice, skipped))
        with writing_temporary():
            (folder / MANIFEST).write_text(as_text(manifest), encoding="utf-8")
    return Bundle(folder=out, manifest=manifest)


def _design_yaml(space: SearchSpace, design: Design) -> str:
    content = {
        "id": design.id,
        "model": design.model,
        "model_args": dict(design.model_args),
        "data": space.file.data,
        "train": space.file.train.model_dump(),
        "measure": resolved(space.file.measure).model_dump(),
        "slots": design.spec_json(),
    }
    head = (
        "# A network with redesigned convolutions in some slots. To build it for training:\n"
        "#   redesign(network, {name: ConvSpec.from_json(dials) for name, dials in slots})\n"
    )
    return head + yaml.safe_dump(content, sort_keys=False, default_flow_style=None)


def _manifest(
    candidate: Candidate, folder: Path, choice: SelectedDesign, skipped: list[Skipped]
) -> dict[str, Any]:
    """Measure the files, compare them with the network and the search, and return the manifest."""
    outputs = checks.check_outputs(candidate, folder, skipped)
    designed = checks.check_cost(candidate, skipped)
    checks.check_shares(candidate)
    stored = read_contents(candidate.deployed.designed, folder / WEIGHTS)
    files = Exported(
        candidate=candidate,
        network=verify.load_exported(folder),
        params=stored.params,
        bits=stored.bits,
    )
    metrics = _metrics(designed, choice.metrics, checks.read_files(files, choice.metrics, skipped))
    checks.note_unmeasured(metrics, skipped)
    return {
        "schema_version": SCHEMA_VERSION,
        "dsx": dsx.__version__,
        **({"study": choice.study, "trial": choice.trial} if choice.study else {}),
        "trained_for_export": choice.weights is None,
        "design": candidate.design.id,
        "description": candidate.design.description(candidate.space.analysis),
        "metrics": metrics,
        "outputs": outputs,
        "not_verified": [asdict(each) for each in skipped],
        "forms": {name: each.form for name, each in candidate.deployed.choices.items()},
        "kernels": candidate.deployed.kernels,
        "folded_norms": candidate.deployed.folded,
        "weights": stored.to_json(),
        "unfolded_norms": candidate.deployed.unfolded,
        "measure": resolved(candidate.space.file.measure).model_dump(),
        "device": asdict(this_device()),
        "files": {
            file.relative_to(folder).as_posix(): sha256(file.read_bytes())
            for file in sorted(folder.rglob("*"))
            # The fresh process has compiled the kernels, as any other will on first use.
            if file.is_file() and not is_built(file)
        },
    }


def _metrics(
    designed: Mapping[str, float],
    searched: Mapping[str, Estimate],
    exported: Mapping[str, tuple[Metric, Measurement]],
) -> dict[str, dict[str, Any]]:
    """Combine the values of each metric: of the design, of the search and of the files."""
    metrics: dict[str, dict[str, Any]] = {
        name: {"designed": value} for name, value in designed.items()
    }
    for name, (metric, reading) in exported.items():
        number = {"exported": reading.value, **_interval(reading), "unit": metric.unit}
        metrics[name] = metrics.get(name, {}) | number
    for name, estimate in searched.items():
        # The counts of the design equal those of the search.
        if "designed" not in metrics.setdefault(name, {}):
            metrics[name] |= {"searched": estimate.value, **_interval(estimate, "searched_")}
    for name, numbers in metrics.items():
        if "unit" not in numbers:
            numbers["unit"] = find(Metric, name).unit
    return metrics


def _interval(reading: Measurement | Estimate, before: str = "") -> dict[str, Any]:
    """Return the interval and the flags of a reading; nothing if it is exact."""
    if reading.low == reading.high:
        return {}
    ends = {
        "low": reading.low,
        "high": reading.high,
        "converged": reading.converged,
        "noisy": reading.noisy,
    }
    return {f"{before}{name}": end for name, end in ends.items()}


def _train_or_restore(candidate: Candidate, weights: Mapping[str, Tensor] | None) -> None:
    if weights is None:
        candidate.trained()
    else:
        candidate.restore(weights)
