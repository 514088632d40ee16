"""Equal structure means equal operators on equal shapes, regardless of weights and process."""

import copy
import dataclasses
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn

from dsx.conv import ConvSpec, deploy
from dsx.conv.deploy import Choice, structure, tensor_facts
from dsx.conv.deploy._choose import candidates, situation
from dsx.conv.native.module import BlockSparseConv2d
from dsx.conv.native.plan import Mask, make_plan
from dsx.conv.timing import Run
from tests.conv.deploy import networks
from tests.conv.deploy.networks import CORNERS, CROSS, HET, Hooked, Residual, Untraceable
from tests.conv.native.cases import geometry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution with all the settings that its speed depends on."""

    groups: int = 1
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1
    bias: bool = True
    padding_mode: str = "zeros"
    outputs: int = 8
    norm: bool = False
    relu: bool = True
    dtype: torch.dtype = torch.float32
    layout: torch.memory_format = torch.contiguous_format

    def facts(self, seed: int) -> Any:
        """Return the structure of the deployed layer, with weights from a seed."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            conv = nn.Conv2d(
                4, self.outputs, self.kernel, self.stride, self.padding, self.dilation,
                groups=self.groups, bias=self.bias, padding_mode=self.padding_mode,  # type: ignore[arg-type]
            )  # fmt: skip
            # A norm in front of the convolution cannot be folded.
            parts = [nn.BatchNorm2d(4)] if self.norm else []
            network = nn.Sequential(*parts, conv, *([nn.ReLU()] if self.relu else []))
            x = torch.randn(1, 4, 9, 9, dtype=self.dtype).contiguous(memory_format=self.layout)
        network.to(self.dtype).to(memory_format=self.layout)  # type: ignore[call-overload]
        found = structure(deploy(network, x, timer=grouped).network)
        assert found.complete
        # The layout of small weights is ambiguous, so that of the input is included.
        return [found.facts, tensor_facts(x)]


LAYERS = st.builds(
    Layer,
    groups=st.sampled_from([1, 4]), kernel=st.sampled_from([1, 3]), stride=st.sampled_from([1, 2]),
    padding=st.sampled_from([0, 1]), dilation=st.sampled_from([1, 2]), bias=st.booleans(),
    padding_mode=st.sampled_from(["zeros", "circular"]), outputs=st.sampled_from([4, 8]),
    norm=st.booleans(), relu=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)  # fmt: skip


def first(runs: Sequence[Run], seconds: float) -> list[float]:
    """Return times for which the first form is the fastest."""
    return [float(number) for number in range(len(runs))]


def grouped(runs: Sequence[Run], seconds: float) -> list[float]:
    """Return times for which every form except the dense one is the fastest."""
    forms = [run.func for run in runs if isinstance(run, functools.partial)]
    return [float(isinstance(form, nn.Conv2d) and form.groups == 1) for form in forms]


def is_equivalent(one: Layer, other: Layer) -> bool:
    """Check whether two layers are the same computation."""

    def plain(layer: Layer) -> Layer:
        # The dilation of one position and the mode of zero padding have no effect.
        dilation = 1 if layer.kernel == 1 else layer.dilation
        mode = layer.padding_mode if layer.padding else "zeros"
        return dataclasses.replace(layer, dilation=dilation, padding_mode=mode)

    return plain(one) == plain(other)


@settings(max_examples=20)
@given(LAYERS, st.integers(0, 3), st.integers(0, 3))
def test_weights_are_not_part_of_the_structure(layer: Layer, one: int, other: int) -> None:
    assert layer.facts(one) == layer.facts(other)


@settings(max_examples=40)
@given(LAYERS, LAYERS, st.sampled_from([field.name for field in dataclasses.fields(Layer)]))
def test_equal_structure_is_the_same_computation(one: Layer, donor: Layer, field: str) -> None:
    other = dataclasses.replace(one, **{field: getattr(donor, field)})
    assert one.facts(0) != other.facts(0) or is_equivalent(one, other)


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 4}, {"kernel": 1, "padding": 0}, {"stride": 2}, {"padding": 0}, {"dilation": 2},
        {"bias": False}, {"padding_mode": "circular"}, {"outputs": 4}, {"norm": True},
        {"relu": False}, {"dtype": torch.float64}, {"layout": torch.channels_last},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_every_change_of_the_computation_changes_the_structure(change: dict[str, Any]) -> None:
    assert Layer(**change).facts(0) != Layer().facts(0)


def deployed_as(form: str, spec: ConvSpec, seed: int = 0) -> Any:
    """Return the structure of a convolution that is deployed in a given form."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        conv = networks.redesigned(spec, 8, 8, 3, padding=1).eval()
        x = torch.randn(1, 8, 7, 7)
    form_cache = {situation(conv, x, native=False): Choice(form=form, seconds={})}  # type: ignore[arg-type]
    deployed = deploy(conv, x, timer=first, form_cache=form_cache)
    assert [choice.form for choice in deployed.choices.values()] == [form]
    return json.dumps(structure(deployed.network).facts)


@pytest.mark.parametrize("spec", [CROSS, CORNERS, HET, networks.SLIDING, networks.BINARY])
def test_each_form_has_a_different_structure(spec: ConvSpec) -> None:
    conv = networks.redesigned(spec, 8, 8, 3, padding=1).eval()
    forms = list(candidates(conv, native=False))  # type: ignore[arg-type]
    assert len(forms) > 1
    assert len({deployed_as(form, spec) for form in forms}) == len(forms)


def test_dense_forms_of_different_shapes_have_equal_structure() -> None:
    structures = {deployed_as("dense", spec) for spec in (CROSS, CORNERS, HET, networks.SLIDING)}
    assert len(structures) == 1


@pytest.mark.parametrize("make", [Untraceable, Hooked])
def test_an_incomplete_structure_is_marked(make: Callable[[], nn.Module]) -> None:
    network = networks.ready(make())
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    assert not structure(deploy(network, x, timer=first).network).complete


def test_an_attribute_that_is_an_object_cannot_be_described() -> None:
    activation = nn.ReLU()
    activation.secret = object()  # type: ignore[assignment]
    deployed = deploy(nn.Sequential(nn.Conv2d(3, 4, 1), activation), torch.randn(1, 3, 5, 5))
    assert not structure(deployed.network).complete


def test_a_layer_called_twice_differs_from_two_layers() -> None:
    conv = nn.Conv2d(4, 4, 1)
    x = torch.randn(1, 4, 5, 5)
    twice, two = nn.Sequential(conv, conv), nn.Sequential(conv, copy.deepcopy(conv))
    found = [structure(deploy(network, x).network).facts for network in (twice, two)]
    assert found[0] != found[1]


def native_facts(live: Mask, terms: Sequence[Sequence[int]] | None = None) -> Any:
    """Return the structure of a convolution with packed weights, for images of the same size."""
    g = geometry(live, padding=(live.shape[2] // 2,) * 4)  # type: ignore[arg-type]
    merge = None if terms is None else torch.tensor(terms)
    conv = BlockSparseConv2d(make_plan(live, g), torch.randn(live.shape), None, g, merge=merge)
    return structure(conv).facts


def reading(*channels: range, kernel: int = 1, position: int = 0) -> Mask:
    """Return the mask of 8 outputs for each range of the channels that they read, of 16."""
    live = np.zeros((8 * len(channels), 16, kernel * kernel), bool)
    for block, read in enumerate(channels):
        live[8 * block : 8 * block + 8, read, position] = True
    return live.reshape(*live.shape[:2], kernel, kernel)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (reading(range(3), range(5)), reading(range(4), range(4))),
        (reading(range(4), kernel=3, position=4), reading(range(4), kernel=3, position=0)),
    ],
    ids=["entries", "position"],
)
def test_plans_of_equal_size_for_other_amounts_have_different_structure(
    one: Mask, other: Mask
) -> None:
    sizes = [
        (plan.table.shape, plan.source.shape)
        for plan in (make_plan(live, geometry(live)) for live in (one, other))
    ]
    assert sizes[0] == sizes[1]
    assert native_facts(one) != native_facts(other)
    assert native_facts(one) == native_facts(one)


@pytest.mark.usefixtures("native")
def test_channels_and_merged_outputs_are_not_part_of_the_structure() -> None:
    one, other = reading(range(4), range(2, 6)), reading(range(7, 11), range(12, 16))
    assert native_facts(one) == native_facts(other)
    found = [native_facts(one, terms) for terms in ([[0, 1]], [[5, 3]], [[0, 1, 2]])]
    assert found[0] == found[1] != found[2]


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("form", "spec", "shared"),
    [
        ("block_sparse", CORNERS, True),
        ("block_sparse_maps", ConvSpec(kernel_shape="cross", binary_basis=2, splits=4), True),
        ("block_sparse", networks.LEARNED, False),
    ],
    ids=["fixed", "binary", "learned"],
)
def test_trainings_of_a_design_share_a_native_structure_if_it_defines_the_amounts(
    form: str, spec: ConvSpec, shared: bool
) -> None:
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        conv = networks.redesigned(spec, 16, 32, 3, padding=1).eval()
        for parameter in conv.parameters():
            nn.init.normal_(parameter)
        found.append(structure(candidates(conv, native=True)[form]).facts)  # type: ignore[arg-type]
    assert (found[0] == found[1]) == shared


SCRIPT = """
import json, torch
from dsx.conv import deploy
from dsx.conv.deploy import structure
from tests.conv.deploy.networks import HET, Residual
x = torch.randn(1, 3, 9, 9)
network = Residual(HET).eval()
first = lambda runs, seconds: list(range(len(runs)))
print(json.dumps(structure(deploy(network, x, timer=first).network).facts, sort_keys=True))
"""


@pytest.mark.long
def test_the_structure_is_equal_in_every_process() -> None:
    script = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(script, capture_output=True, text=True, env=environment, check=True)
    network = Residual(HET).eval()
    expected = structure(deploy(network, torch.randn(1, 3, 9, 9), timer=first).network)
    assert expected.complete
    assert json.dumps(expected.facts, sort_keys=True) == result.stdout.strip()


def test_numpy_numbers_are_described() -> None:
    numpy_side: Any = np.int64(3)
    found, expected = (
        structure(fx.symbolic_trace(nn.Sequential(nn.MaxPool2d(side)))) for side in (numpy_side, 3)
    )
    assert found == expected
    assert found.complete
