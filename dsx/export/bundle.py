"""Bundle: everything that belongs to an exported design, in one folder."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from torch import Tensor

import dsx
from dsx.conv.deploy import Choice
from dsx.data import Split
from dsx.errors import DsxError, WorkFailed
from dsx.export import verify
from dsx.export._base import Exporter
from dsx.lookup import find
from dsx.measure import Candidate, Metric, Reading, this_device
from dsx.measure.flops import count
from dsx.space import Design, SearchSpace
from dsx.train import predict

SCHEMA_VERSION = 1
COMPARED = 256
"""Images of each split whose logits are compared in a fresh process."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What was exported.

    Args:
        folder: Where the files are.
        manifest: The content of manifest.json.
    """

    folder: Path
    manifest: Mapping[str, Any]


def export(
    space: SearchSpace,
    design: Design,
    out: Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
    searched: Mapping[str, Reading] | None = None,
    known: MutableMapping[str, Choice] | None = None,
    references: MutableMapping[str, float] | None = None,
    labels: Mapping[str, Any] | None = None,
    force: bool = False,
    exporter: str = "model_py",
) -> Bundle:
    """Write a design as files that need torch only, and check them in a fresh process.

    Args:
        space: The space that the design is from.
        design: What to export.
        out: A folder that does not exist yet, or is empty.
        weights: State dict of the trained network; by default it is trained again, as it was.
        searched: What the search measured, by metric, to be compared with.
        known: Deployed forms chosen before.
        references: How long the sentinel takes on this machine; see `dsx.measure.sentinel`.
        labels: What else the manifest shall say (study, trial).
        force: Whether an existing folder may be replaced.
        exporter: A format.

    Returns:
        Where the files are, and what the manifest says.

    Raises:
        DsxError: If the folder exists, or cannot be written.
        WorkFailed: If the network cannot be written, or the files do not compute what the search
            measured; nothing is left behind then, and nothing replaced.
    """
    _check_free(out, force)
    torch.set_num_threads(space.file.measure.threads)
    writer = find(Exporter, exporter)
    candidate = Candidate(space, design, known, references)
    with _appearing(out) as folder:
        _fill(candidate, weights)
        _check_weights(candidate, searched or {})
        headline = f"{design.words(space.census)} in {space.file.model} (design {design.id})."
        writer.write(candidate.deployed, candidate.sample, headline, folder)
        (folder / "design.yaml").write_text(_design_yaml(space, design), encoding="utf-8")
        manifest = _manifest(candidate, folder, searched or {}, labels or {})
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return Bundle(folder=out, manifest=manifest)


def _check_free(out: Path, force: bool) -> None:
    taken = out.exists() and not (out.is_dir() and not any(out.iterdir()))
    if taken and not force:
        raise DsxError(f"--out: '{out}' exists already (choose another, or replace it: --force)")
    if taken and not out.is_dir():
        raise DsxError(f"--out: '{out}' is a file, not a folder")
    if Path.cwd().is_relative_to(out.resolve()):
        raise DsxError(f"--out: '{out}' is the folder you are in, or holds it (choose another)")


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """Write beside the place, so that the folder appears whole or not at all."""
    place = out.resolve()
    # Named before it is made, so that an interrupt in between leaves nothing behind.
    partial = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        partial.mkdir(parents=True)
        new, old = partial / "new", partial / "old"
        new.mkdir()
        yield new
        if place.exists():
            place.rename(old)
        new.rename(place)
    except (OSError, SafetensorError) as error:
        raise DsxError(f"--out: '{out}' cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _design_yaml(space: SearchSpace, design: Design) -> str:
    content = {
        "id": design.id,
        "model": design.model,
        "model_args": dict(design.model_args),
        "data": space.file.data,
        "train": space.file.train.model_dump(),
        "measure": space.file.measure.model_dump(),
        "slots": design.spec_json(),
    }
    head = (
        "# A network with other convolutions in some of its slots. To build it for training:\n"
        "#   redesign(network, {name: ConvSpec.from_json(dials) for name, dials in slots})\n"
    )
    return head + yaml.safe_dump(content, sort_keys=False, default_flow_style=None)


def _manifest(
    candidate: Candidate, folder: Path, searched: Mapping[str, Reading], labels: Mapping[str, Any]
) -> dict[str, Any]:
    """Measure the files anew, compare with the network and the search, and write it all down."""
    outputs, accuracies = _check_outputs(candidate, folder)
    exported = verify.load_exported(folder)
    timed = verify.latency_ms(candidate, exported)
    metrics: dict[str, dict[str, Any]] = {
        **{name: {"designed": value} for name, value in _checked_cost(candidate).items()},
        **{name: {"exported": value} for name, value in accuracies.items()},
        "latency_ms": {"exported": timed.value, **_doubts(timed)},
    }
    for name, number in verify.held(exported, candidate.sample).items():
        metrics[name]["exported"] = number
    for name, reading in searched.items():
        # A count is a count: what the search said of it is what the design says.
        if "designed" not in metrics.setdefault(name, {}):
            metrics[name] |= {"searched": reading.value, **_doubts(reading, "searched_")}
    for name, numbers in metrics.items():
        numbers["unit"] = find(Metric, name.removeprefix("test_")).unit
    return {
        "schema_version": SCHEMA_VERSION,
        "dsx": dsx.__version__,
        **labels,
        "design": candidate.design.id,
        "words": candidate.design.words(candidate.space.census),
        "metrics": metrics,
        "outputs": outputs,
        "forms": {name: choice.form for name, choice in candidate.deployed.choices.items()},
        "folded_norms": candidate.deployed.folded,
        "measure": candidate.space.file.measure.model_dump(),
        "device": asdict(this_device()),
        "files": {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(folder.iterdir())
        },
    }


def _doubts(reading: Reading, before: str = "") -> dict[str, Any]:
    """Say how sure a number is; nothing of one that is exact."""
    if reading.low == reading.high:
        return {}
    marks = {name: bool(reading.conditions.get(name)) for name in ("wide", "busy")}
    ends = {"low": reading.low, "high": reading.high, **marks}
    return {f"{before}{name}": end for name, end in ends.items()}


def _fill(candidate: Candidate, weights: Mapping[str, Tensor] | None) -> None:
    if weights is None:
        candidate.trained()
    else:
        candidate.restore(weights)


def _check_weights(candidate: Candidate, searched: Mapping[str, Reading]) -> None:
    """Classify the validation images as the search did: with the network itself, in float32."""
    for name, number in candidate.cost.numbers.items():
        # Learned shapes may come from another training than that of the search.
        counted = searched[name].value if name in searched else number
        if candidate.design.learned and counted != number:
            raise WorkFailed(
                f"with these weights the network has {number:,} {name}, "
                f"the search counted {counted:,.0f}"
            )
    if "accuracy" not in searched:
        return
    validation = candidate.splits.validation
    hits = predict(candidate.network.eval(), validation) == validation.labels
    accuracy = float(hits.double().mean())
    # A single image may lie so near the edge between two classes that rounding decides.
    before = searched["accuracy"].value
    if abs(accuracy - before) > 1.5 / len(validation):
        raise WorkFailed(
            f"with these weights the validation accuracy is {accuracy:.4f}, "
            f"the search measured {before:.4f}"
        )


def _check_outputs(candidate: Candidate, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Compare the logits of a fresh process, and classify all images with the files."""
    dtype = candidate.sample.dtype
    network = candidate.at_work().eval()
    parts = {"accuracy": candidate.splits.validation, "test_accuracy": candidate.splits.test}
    images = {name: _first_images(part).to(dtype) for name, part in parts.items()}
    logits = verify.fresh_logits(folder, images)
    with torch.inference_mode():
        compared = [
            verify.largest_difference(logits[name], network(images[name])) for name in parts
        ]
    exported = verify.load_exported(folder)
    accuracies = {
        name: float((predict(exported, part, dtype) == part.labels).double().mean())
        for name, part in parts.items()
    }
    largest, tolerance = max(compared)
    outputs = {
        "images": sum(map(len, images.values())),
        "largest_difference": largest,
        "tolerance": tolerance,
    }
    return outputs, accuracies


def _first_images(split: Split) -> Tensor:
    some = torch.arange(min(len(split), COMPARED))
    return torch.cat([images for images, _ in split.batches(some, COMPARED)])


def _checked_cost(candidate: Candidate) -> dict[str, int]:
    """Count by closed form, and by the operators of the trained network if all are known."""
    sample = torch.zeros(1, *candidate.space.data.image_shape)
    try:
        counted = count(candidate.network, sample)
    except WorkFailed:
        return candidate.cost.numbers
    if counted != candidate.cost.flops:
        raise WorkFailed(
            f"the network's operators count {counted} flops, its design {candidate.cost.flops}"
        )
    return candidate.cost.numbers
