"""Exported folders: contents, verification, and protection of other files."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path

import pytest
import torch
import yaml

from dsx.analysis import Estimate
from dsx.conv import ConvSpec, DsxConv
from dsx.conv.deploy import Choice
from dsx.conv.native import Kernels
from dsx.errors import DsxError, WorkFailed
from dsx.export import bundle as exporting
from dsx.export.bundle import Bundle
from dsx.export.kernels import is_built
from dsx.measure import this_device
from dsx.search.design.selection import SelectedDesign
from dsx.space import Design, SearchSpace, redesign
from tests.export.always import Always
from tests.export.conftest import Searched, cross_design, exact, make_space, search


def export(
    space: SearchSpace,
    design: Design,
    out: Path,
    *,
    weights: Mapping[str, torch.Tensor] | None = None,
    searched: Mapping[str, Estimate] | None = None,
    form_cache: MutableMapping[str, Choice] | None = None,
    study: str = "",
    trial: int | None = None,
    force: bool = False,
    exporter: str = "model_py",
) -> Bundle:
    """Export a design of a search."""
    choice = SelectedDesign(
        space=space,
        design=design,
        study=study,
        trial=trial,
        weights=weights,
        metrics=searched or {},
        form_cache={} if form_cache is None else form_cache,
    )
    return exporting.export(choice, out, force=force, exporter=exporter)


FILES = ["design.yaml", "manifest.json", "model.py", "weights.safetensors"]
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from model import load
network = load()
torch.manual_seed(0)
torch.save(network(torch.randn(5, 1, 8, 8, dtype=getattr(torch, sys.argv[2]))), sys.argv[3])
print(sorted(name for name in ("dsx", "numpy", "safetensors", "optuna") if name in sys.modules))
"""


def run_alone(folder: Path, dtype: str, result: Path) -> list[str]:
    """Run an exported model with `python -I`, and return the modules that it imported."""
    command = [sys.executable, "-I", "-c", SCRIPT, str(folder), dtype, str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = yaml.safe_load(done.stdout)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_the_files_compute_the_outputs_of_the_network_with_torch_alone(
    searched: Searched, out: Path, tmp_path: Path, dtype: str, tolerance: float
) -> None:
    space = make_space(dtype=dtype)
    export(space, searched.design, out, weights=searched.weights, searched=searched.metrics)
    assert sorted(file.name for file in out.iterdir()) == FILES
    assert set(run_alone(out, dtype, tmp_path / "logits")) <= {"numpy"}
    network = redesign(space.network(), searched.design.changed)
    network.load_state_dict(searched.weights)
    network.eval().to(getattr(torch, dtype))
    torch.manual_seed(0)
    expected = network(torch.randn(5, 1, 8, 8, dtype=getattr(torch, dtype)))
    logits = torch.load(tmp_path / "logits")
    assert logits.dtype == getattr(torch, dtype)
    torch.testing.assert_close(logits, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_native_forms_are_exported_with_their_kernels(
    searched: Searched, out: Path, tmp_path: Path, dtype: str, tolerance: float, native: Kernels
) -> None:
    space = make_space(dtype=dtype, deploy="native")
    bundle = export(
        space,
        searched.design,
        out,
        weights=searched.weights,
        searched=searched.metrics,
        form_cache=Always("block_sparse"),
    )
    manifest = bundle.manifest
    assert (manifest["measure"]["deploy"], manifest["kernels"]) == ("native", native.identity)
    assert "block_sparse" in manifest["forms"].values()
    written = {
        file.relative_to(out).as_posix()
        for file in out.rglob("*")
        if file.is_file() and not is_built(file) and file.name != "manifest.json"
    }
    assert set(manifest["files"]) == written >= {"kernels/__init__.py", "kernels/source/micro.h"}
    cost, metrics = space.cost(searched.design), manifest["metrics"]
    assert metrics["bits"]["exported"] == cost.bits
    assert cost.flops <= metrics["deployed_flops"]["exported"] <= 1.5 * cost.flops
    assert metrics["latency_ms"]["exported"] > 0
    assert set(run_alone(out, dtype, tmp_path / "logits")) <= {"numpy"}
    network = redesign(space.network(), searched.design.changed)
    network.load_state_dict(searched.weights)
    network.eval().to(getattr(torch, dtype))
    torch.manual_seed(0)
    expected = network(torch.randn(5, 1, 8, 8, dtype=getattr(torch, dtype)))
    logits = torch.load(tmp_path / "logits")
    torch.testing.assert_close(logits, expected, atol=tolerance, rtol=tolerance)
    # With the bytecode that running it has left behind.
    export(space, searched.design, out, weights=searched.weights, force=True)


def test_native_forms_need_a_compiler(
    searched: Searched,
    out: Path,
    tmp_path: Path,
    native: Kernels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space = make_space(deploy="native")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = (
        r"^the exported model does not run in a fresh process: RuntimeError: this network needs a "
        r"C\+\+ compiler on first use, and none runs \(tried: no-such-compiler\): install one"
    )
    with pytest.raises(WorkFailed, match=reason):
        export(space, searched.design, out, weights=searched.weights,
               form_cache=Always("block_sparse"))  # fmt: skip
    assert not out.exists()


def test_a_bfloat16_model_is_exported_as_such(searched: Searched, out: Path) -> None:
    space = make_space(dtype="bfloat16")
    bundle = export(
        space, searched.design, out, weights=searched.weights, searched=searched.metrics
    )
    assert "torch.bfloat16" in (out / "model.py").read_text()
    assert bundle.manifest["outputs"]["largest_difference"] > 0
    skipped = {each["check"]: each["reason"] for each in bundle.manifest["not_verified"]}
    assert "float32" in skipped["trained metrics in bfloat16"]


def test_the_manifest_lists_the_verified_values(searched: Searched, out: Path) -> None:
    space, design = searched.space, searched.design
    bundle = export(
        space,
        design,
        out,
        weights=searched.weights,
        searched=searched.metrics,
        study="s",
        trial=7,
    )
    manifest = json.loads((out / "manifest.json").read_text())
    assert bundle.manifest == manifest
    assert bundle.folder == out
    cost = space.cost(design)
    metrics = manifest["metrics"]
    designed = {name: numbers.get("designed") for name, numbers in metrics.items()}
    exported = {name: numbers.get("exported") for name, numbers in metrics.items()}
    assert (designed["params"], designed["flops"], designed["bits"]) == (
        cost.params,
        cost.flops,
        cost.bits,
    )
    # The exported values equal those that the search optimises.
    assert (exported["params"], exported["bits"]) == (cost.params, cost.bits)
    assert exported["deployed_flops"] >= cost.flops
    assert exported["deployed_params"] >= 0.9 * cost.params
    assert exported["accuracy"] == pytest.approx(searched.metrics["accuracy"].value, abs=1 / 300)
    assert manifest["metrics"]["accuracy"]["searched"] == searched.metrics["accuracy"].value
    assert 0 <= exported["test_accuracy"] <= 1
    latency = manifest["metrics"]["latency_ms"]
    assert 0 < latency["low"] <= latency["exported"] <= latency["high"]
    assert (manifest["schema_version"], manifest["study"], manifest["trial"]) == (2, "s", 7)
    assert (manifest["design"], manifest["description"]) == (
        design.id,
        design.description(space.analysis),
    )
    assert manifest["outputs"]["images"] == 512
    assert manifest["outputs"]["largest_difference"] <= manifest["outputs"]["tolerance"]
    assert manifest["device"]["torch"] == this_device().torch
    assert manifest["forms"].keys() == design.changed.keys()
    assert manifest["files"] == {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in FILES
        if name != "manifest.json"
    }


def test_the_design_can_be_built_from_its_yaml(searched: Searched, out: Path) -> None:
    export(searched.space, searched.design, out, weights=searched.weights)
    content = yaml.safe_load((out / "design.yaml").read_text())
    slots = {name: ConvSpec.from_json(dials) for name, dials in content["slots"].items()}
    assert searched.space.design(slots) == searched.design
    assert content["id"] == searched.design.id
    network = redesign(searched.space.network(), slots)
    network.load_state_dict(searched.weights)


def test_without_weights_the_network_is_trained_again_with_equal_weights(
    searched: Searched, out: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    export(searched.space, searched.design, kept, weights=searched.weights)
    export(searched.space, searched.design, out, searched=searched.metrics)
    assert _weights(out) == _weights(kept)


def _weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def test_each_slot_may_have_another_convolution(tmp_path: Path) -> None:
    space = make_space()
    specs = [
        ConvSpec(separable=True, groups=2, channel_stride=0.5),
        ConvSpec(kernel_shape="corners", groups=2),
        ConvSpec(groups="all"),
        ConvSpec(kernel_shape="point", groups=2, channel_stride=1.0),
        ConvSpec(kernel_shape="lines"),
    ]
    slots = [slot.name for slot in space.analysis.slots[1:]]
    design = space.design(dict(zip(slots, specs, strict=False)))
    bundle = export(space, design, tmp_path / "chosen")
    assert bundle.manifest["forms"].keys() == set(slots[: len(specs)])
    skipped = {each["check"]: each["reason"] for each in bundle.manifest["not_verified"]}
    assert "no measurements" in skipped["the weights"]


BINARY = ConvSpec(binary_basis=2, splits=2, scale=True)
FORMS = {
    "maps_merge": BINARY,
    "rebuilt": dataclasses.replace(BINARY, kernel_shape="cross", groups=2, channel_stride=0.5),
    "depthwise + maps_merge": dataclasses.replace(BINARY, splits=1, separable=True),
    "shifted": ConvSpec(kernel_shape="lines"),
    "split": ConvSpec(kernel_shape="learned", rigid=True, block_in=4, block_out=4),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_binary_and_learned_convolutions_are_exported_in_any_form(out: Path, form: str) -> None:
    space = make_space()
    slot = space.analysis.slots[-1].name
    design = space.design({slot: FORMS[form]})
    found = search(space, design)
    bundle = export(
        space, design, out, weights=found.weights, searched=found.metrics, form_cache=Always(form)
    )
    assert bundle.manifest["forms"] == {slot: form}
    metrics = bundle.manifest["metrics"]
    network = redesign(space.network(), design.changed)
    network.load_state_dict(found.weights)
    conv = network.get_submodule(slot)
    assert isinstance(conv, DsxConv)
    own, original = conv.cost((2, 2)), space.analysis.slots[-1].cost()
    for name, number in own.numbers.items():
        rest = space.cost(space.baseline).numbers[name] - original.numbers[name]
        assert metrics[name]["designed"] == rest + number
    assert metrics["bits"]["exported"] == metrics["bits"]["designed"]
    assert bundle.manifest["weights"]["not_stored"] == []


def test_awkward_networks_can_be_exported(out: Path, tmp_path: Path) -> None:
    space = make_space("tests.export.networks:Awkward")
    found = search(space, cross_design(space))
    bundle = export(space, found.design, out, weights=found.weights, searched=found.metrics)
    assert bundle.manifest["outputs"]["largest_difference"] < 1e-5


def test_an_operator_that_cannot_be_counted_is_listed(out: Path) -> None:
    space = make_space("tests.export.networks:Transformed")
    bundle = export(space, space.baseline, out)
    skipped = {each["check"]: each["reason"] for each in bundle.manifest["not_verified"]}
    reason = "the operator counter does not know aten::fft_fft"
    assert skipped["flops of the network, by operator"] == reason
    assert skipped["deployed_flops of the exported files"] == reason
    assert "deployed_flops" not in bundle.manifest["metrics"]


def test_metrics_that_are_not_measured_on_the_files_are_listed(
    searched: Searched, out: Path
) -> None:
    found = {**searched.metrics, "peak_memory_mb": exact(3.0)}
    bundle = export(searched.space, searched.design, out, weights=searched.weights, searched=found)
    skipped = {each["check"]: each["reason"] for each in bundle.manifest["not_verified"]}
    assert skipped.keys() == {"outputs of the other 208 images", "peak_memory_mb"}
    assert "256" in skipped["outputs of the other 208 images"]


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("Branching", "^model.py cannot be written, since torch.fx cannot trace the network: "),
        ("Foreign", "^model.py cannot determine the arguments of a nn.LSTM$"),
    ],
)
def test_a_network_that_cannot_be_written_leaves_no_files(
    out: Path, model: str, problem: str
) -> None:
    space = make_space(f"tests.export.networks:{model}")
    with pytest.raises(WorkFailed, match=problem) as failed:
        export(space, space.baseline, out)
    assert "\n" not in str(failed.value)
    assert list(out.parent.iterdir()) == []


def test_shapes_of_another_training_are_refused(out: Path) -> None:
    space = make_space()
    slot = space.analysis.slots[-1].name
    design = space.design({slot: ConvSpec(kernel_shape="learned", block_in=4, block_out=4)})
    found = search(space, design)
    with pytest.raises(
        WorkFailed, match=r"flops is [\d,]+ with these weights, but 1 in the search$"
    ):
        export(space, design, out, weights=found.weights, searched={"flops": exact(1.0)})


@pytest.mark.long
def test_learned_counts_that_the_search_does_not_have_are_listed(out: Path) -> None:
    space = make_space()
    slot = space.analysis.slots[-1].name
    design = space.design({slot: ConvSpec(kernel_shape="learned", block_in=4, block_out=4)})
    found = search(space, design)
    bundle = export(space, design, out, weights=found.weights, searched=found.metrics)
    skipped = [
        each["check"] for each in bundle.manifest["not_verified"] if "learned" in each["reason"]
    ]
    assert skipped == ["params after training", "flops after training", "bits after training"]


def test_weights_of_another_network_are_refused(searched: Searched, out: Path) -> None:
    with pytest.raises(WorkFailed, match=r"^the weights do not belong to this network: [^\n]*$"):
        export(searched.space, searched.space.baseline, out, weights=searched.weights)
    assert list(out.parent.iterdir()) == []


def test_weights_other_than_those_of_the_search_are_refused(searched: Searched, out: Path) -> None:
    tampered = {**searched.weights, "head.bias": searched.weights["head.bias"].flip(0) + 9.0}
    tampered["head.weight"] = -searched.weights["head.weight"]
    problem = r"accuracy is 0\.\d+ with these weights, but 0\.\d+ in the search"
    with pytest.raises(WorkFailed, match=problem):
        export(searched.space, searched.design, out, weights=tampered, searched=searched.metrics)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("exporter", ["tampering", "not_a_number", "requiring_dsx", "silent"])
def test_files_that_do_not_reproduce_the_outputs_are_refused(
    searched: Searched, out: Path, exporter: str
) -> None:
    problems = {
        "tampering": r"differ by [0-9.e+-]+ times the largest logit \(allowed: 0\.001\)",
        "not_a_number": "differ by nan",
        "requiring_dsx": "does not run in a fresh process: .*but it imports dsx",
        "silent": "does not run in a fresh process: .*No such file",
    }
    with pytest.raises(WorkFailed, match=problems[exporter]):
        export(
            searched.space,
            searched.design,
            out,
            weights=searched.weights,
            exporter=f"tests.export.exporters:{exporter}",
        )
    assert list(out.parent.iterdir()) == []


def test_an_earlier_export_is_replaced_if_forced(searched: Searched, out: Path) -> None:
    export(searched.space, searched.design, out, weights=searched.weights)
    with pytest.raises(DsxError, match=r"^out: '.*chosen' exists already .* force=True\)$"):
        export(searched.space, searched.design, out, weights=searched.weights)
    export(
        searched.space, searched.design, out, weights=searched.weights, study="another", force=True
    )
    assert json.loads((out / "manifest.json").read_text())["study"] == "another"
    assert sorted(file.name for file in out.iterdir()) == FILES
    assert [file.name for file in out.parent.iterdir()] == ["chosen"]


def test_an_empty_folder_is_filled(searched: Searched, out: Path) -> None:
    out.mkdir()
    export(searched.space, searched.design, out, weights=searched.weights)
    assert sorted(file.name for file in out.iterdir()) == FILES


def test_a_failed_export_does_not_replace_an_earlier_one(searched: Searched, out: Path) -> None:
    export(searched.space, searched.design, out, weights=searched.weights)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(WorkFailed, match="differ by"):
        export(
            searched.space,
            searched.design,
            out,
            weights=searched.weights,
            force=True,
            exporter="tests.export.exporters:tampering",
        )
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert [file.name for file in out.parent.iterdir()] == ["chosen"]


@pytest.mark.long
def test_a_file_that_is_added_during_the_export_is_kept(searched: Searched, out: Path) -> None:
    export(searched.space, searched.design, out, weights=searched.weights)
    with pytest.raises(DsxError, match="'mine' is not part of an export"):
        export(
            searched.space,
            searched.design,
            out,
            weights=_Adding(searched.weights, out / "mine"),
            force=True,
        )
    assert sorted(file.name for file in out.iterdir()) == sorted([*FILES, "mine"])
    assert [file.name for file in out.parent.iterdir()] == ["chosen"]


class _Adding(Mapping[str, torch.Tensor]):
    """Weights that write a file when they are read, as a user might do during an export."""

    def __init__(self, weights: dict[str, torch.Tensor], file: Path) -> None:
        self._weights, self._file = weights, file

    def __getitem__(self, name: str) -> torch.Tensor:
        self._file.write_text("mine")
        return self._weights[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


def test_a_folder_that_cannot_be_written_is_reported(searched: Searched, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DsxError, match=r"^out: '.*/file/chosen' cannot be written: "):
        export(searched.space, searched.design, tmp_path / "file" / "chosen")
