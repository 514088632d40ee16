"""Exports that differ from the search are refused, and checks that were skipped are listed."""

from pathlib import Path

import pytest

from dsx.conv import ConvSpec
from dsx.errors import WorkFailed
from tests.export.conftest import Searched, exact, make_space, search
from tests.export.exporting import export


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


def test_shapes_of_another_training_are_refused(out: Path) -> None:
    space = make_space()
    slot = space.analysis.slots[-1].name
    design = space.design({slot: ConvSpec(kernel_shape="learned", block_in=4, block_out=4)})
    found = search(space, design)
    with pytest.raises(
        WorkFailed, match=r"flops is [\d,]+ with these weights, but 1 in the search$"
    ):
        export(space, design, out, weights=found.weights, searched={"flops": exact(1.0)})


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
