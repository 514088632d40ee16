"""Exported folders: their files, and what these compute."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import yaml

from dsx.conv import ConvSpec, DsxConv
from dsx.errors import WorkFailed
from dsx.measure import this_device
from dsx.space import redesign
from tests.export.always import Always
from tests.export.conftest import Searched, cross_design, make_space, search
from tests.export.exporting import FILES, check_alone, export


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_the_files_compute_the_outputs_of_the_network_with_torch_alone(
    searched: Searched, out: Path, tmp_path: Path, dtype: str, tolerance: float
) -> None:
    space = make_space(dtype=dtype)
    export(space, searched.design, out, weights=searched.weights, searched=searched.metrics)
    assert sorted(file.name for file in out.iterdir()) == FILES
    check_alone(out, space, searched.design, searched.weights, tmp_path / "logits", tolerance)


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
