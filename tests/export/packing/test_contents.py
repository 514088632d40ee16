"""Weight files against the cost of the design that a search optimises."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from dsx.conv import ConvSpec, Deployed, deploy, preset
from dsx.conv.deploy import Form
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.native import Kernels
from dsx.conv.spec.presets import preset_names
from dsx.export.model_py import WEIGHTS, write
from dsx.export.packing.contents import AS_DEPLOYED, NOT_NEEDED, read_contents, tensor_shares
from dsx.export.verify import load_exported
from dsx.lookup import find, names
from dsx.space import redesign
from dsx.space.network.analysis import analyse_network
from tests.export.always import Always
from tests.search.forms import let_forms_be

IMAGES = torch.randn(2, 8, 7, 7, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Slots with and without a batch norm or bias, a head, and a separate batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.second = nn.Conv2d(16, 16, 3, 2, padding=1)
        self.bn2 = nn.BatchNorm2d(16, affine=False)
        self.third = nn.Conv2d(16, 16, 3, padding=1)
        self.alone = nn.BatchNorm2d(16)
        self.fourth = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.first(x)))
        x = torch.relu(self.bn2(self.second(x)))
        x = self.alone(torch.relu(self.third(x)))
        out: Tensor = self.head(self.fourth(x).mean((2, 3)))
        return out


SLOTS = ("first", "second", "third")
COMBINATIONS = {
    "cyclic": ConvSpec(kernel_shape="lines"),
    "het": ConvSpec(kernel_shape="het3", groups=2, channel_stride=0.5),
    "wrapping window": ConvSpec(kernel_shape="cross", groups=2, channel_stride=0.67),
    "interleaved groups": ConvSpec(kernel_shape="corners", groups=4, channel_stride=1.0),
    "blocks of a row": ConvSpec(kernel_shape="row", groups=2),
    "basis of one filter": ConvSpec(binary_basis=1, splits=2, scale=False),
    "basis of three filters": ConvSpec(kernel_shape="checker", binary_basis=3, scale=True),
    "basis under a window": ConvSpec(
        kernel_shape="saltire", groups=2, channel_stride=0.5, binary_basis=5, splits=2, scale=True
    ),
    "separable": ConvSpec(separable=True, groups=2, channel_stride=0.5),
    "separable basis": ConvSpec(separable=True, binary_basis=6, splits=2),
    "free shapes": ConvSpec(kernel_shape="learned", density=0.4, block_in=3, block_out=5),
    "rigid shapes": ConvSpec(
        kernel_shape="learned", rigid=True, density=0.5, block_in=5, block_out=3
    ),
}
EVERYTHING = {name: preset(name) for name in preset_names()} | COMBINATIONS


def randomised(network: nn.Module) -> nn.Module:
    """Set all parameters and statistics to random values, as after a training."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter))
        for module in network.modules():
            if isinstance(module, BinaryConv2d):
                module.basis_proxy.mul_(module.positions)
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return network.eval().requires_grad_(False)


def redesigned(spec: ConvSpec) -> nn.Module:
    return randomised(redesign(Net(), dict.fromkeys(SLOTS, spec)))


def exported(network: nn.Module, folder: Path, form: str, images: Tensor = IMAGES) -> Any:
    deployed = deploy(network, images, form_cache=Always(form))
    write(deployed, images, "A network.", folder)
    return read_contents(deployed.designed, folder / WEIGHTS)


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_file_contains_the_bits_of_the_design(name: str, tmp_path: Path) -> None:
    spec = EVERYTHING[name]
    network = redesigned(spec)
    found = exported(network, tmp_path, "dense")
    cost = analyse_network(Net(), IMAGES).cost_of(network)
    assert (found.params, found.bits, found.missing) == (cost.params, cost.bits, {})
    # The size of each tensor in the file is its share, rounded up to whole bytes.
    stored = load_file(tmp_path / WEIGHTS)
    for tensor, (share, size) in found.payload.items():
        assert size == -(-share.bits // 8), tensor
        assert (stored[tensor].nbytes if share.bits else 0) == size
    # Only running statistics are stored in addition.
    norms = ("bn1", "bn2", "alone")
    assert {n: size for n, size in found.overhead.items() if "header" not in n} == {
        **{f"{norm}.running_mean": 4 * 16 for norm in norms},
        **{f"{norm}.running_var": 4 * 16 for norm in norms},
        "alone.num_batches_tracked": 8,
    }
    whole = sum(size for _, size in found.payload.values()) + sum(found.overhead.values())
    assert whole == (tmp_path / WEIGHTS).stat().st_size


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_files_compute_the_outputs_of_the_design(name: str, tmp_path: Path) -> None:
    network = redesigned(EVERYTHING[name])
    exported(network, tmp_path, "dense")
    expected = network(IMAGES)
    scale = float(expected.abs().max())
    torch.testing.assert_close(load_exported(tmp_path)(IMAGES), expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize(
    "form", [*names(Form), "depthwise + window_gemm", "depthwise + block_sparse"]
)
def test_all_forms_store_the_same_tensors(
    form: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    native = find(Form, form.removeprefix("depthwise + ")).native
    if native:
        request.getfixturevalue("native")
    spec = {
        "box": COMBINATIONS["blocks of a row"],
        "grouped": COMBINATIONS["interleaved groups"],
        "block_sparse_maps": ConvSpec(kernel_shape="corners", binary_basis=2, splits=4, scale=True),
        "maps_merge": ConvSpec(kernel_shape="corners", binary_basis=2, splits=4, scale=True),
        "rebuilt": COMBINATIONS["basis under a window"],
        "shifted": ConvSpec(kernel_shape="cross"),
        "split": ConvSpec(kernel_shape="learned", rigid=True, block_in=4, block_out=8),
        "window_gemm": COMBINATIONS["wrapping window"],
        "depthwise + window_gemm": COMBINATIONS["separable"],
        "depthwise + block_sparse": COMBINATIONS["separable"],
    }.get(form, COMBINATIONS["cyclic"])
    network = randomised(redesign(Net(), {"second": spec}))
    deployed = deploy(network, IMAGES, form_cache=Always(form), native=native)
    assert deployed.choices["second"].form == form
    write(deployed, IMAGES, "A network.", tmp_path)
    found = read_contents(network, tmp_path / WEIGHTS)
    cost = analyse_network(Net(), IMAGES).cost_of(network)
    assert (found.bits, found.missing) == (cost.bits, {})
    expected = network(IMAGES)
    torch.testing.assert_close(
        load_exported(tmp_path)(IMAGES), expected, rtol=0, atol=1e-5 * float(expected.abs().max())
    )


@pytest.mark.parametrize("name", EVERYTHING)
def test_native_forms_store_the_tensors_of_the_design(
    name: str, tmp_path: Path, native: Kernels
) -> None:
    network = redesigned(EVERYTHING[name])
    deployed = deploy(network, IMAGES, form_cache=Always("block_sparse"), native=True)
    assert deployed.kernels == (None if name == "standard" else native.identity)
    write(deployed, IMAGES, "A network.", tmp_path)
    found = read_contents(network, tmp_path / WEIGHTS)
    cost = analyse_network(Net(), IMAGES).cost_of(network)
    assert (found.params, found.bits, found.missing) == (cost.params, cost.bits, {})
    expected = network(IMAGES)
    scale = float(expected.abs().max())
    torch.testing.assert_close(load_exported(tmp_path)(IMAGES), expected, rtol=0, atol=1e-5 * scale)


class Mobile(nn.Module):
    """A separable block, whose depthwise convolution the kernels compute, too."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(8, 8, 3, 2, padding=1, groups=8, bias=bias)
        self.bn1 = nn.BatchNorm2d(8)
        self.point = nn.Conv2d(8, 16, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.spatial(x)))
        out: Tensor = torch.relu(self.bn2(self.point(x))).mean((2, 3))
        return out


@pytest.mark.parametrize("bias", [False, True])
def test_a_fused_depthwise_convolution_keeps_its_names(
    bias: bool, tmp_path: Path, native: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_forms_be(own=True, patch=monkeypatch)
    network = randomised(redesign(Mobile(bias), {"point": preset("scc", groups=2, overlap=0.5)}))
    deployed = deploy(network, IMAGES, native=True, timer=lambda runs, _: [0.0, 1.0])
    assert deployed.fused == {"point": "spatial"}
    write(deployed, IMAGES, "A network.", tmp_path)
    found = read_contents(network, tmp_path / WEIGHTS)
    cost = analyse_network(Mobile(bias), IMAGES).cost_of(network)
    assert (found.params, found.bits, found.missing) == (cost.params, cost.bits, {})
    torch.testing.assert_close(load_exported(tmp_path)(IMAGES), network(IMAGES))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_numbers_take_32_bits_for_any_dtype_of_the_network(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    network = redesigned(COMBINATIONS["het"]).to(dtype)
    found = exported(network, tmp_path, "dense", IMAGES.to(dtype))
    assert found.bits == 8 * sum(size for _, size in found.payload.values())
    logits = load_exported(tmp_path)(IMAGES.to(dtype))
    assert logits.dtype == dtype
    expected = network(IMAGES.to(dtype))
    atol = {torch.float64: 1e-10, torch.bfloat16: 0.1}[dtype] * float(expected.abs().max())
    torch.testing.assert_close(logits, expected, rtol=0, atol=atol)


def test_numbers_that_need_more_than_32_bits_are_overhead(tmp_path: Path) -> None:
    network = redesigned(COMBINATIONS["cyclic"]).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1e-12)
    found = exported(network, tmp_path, "dense", IMAGES.double())
    assert found.overhead["head.weight, beyond its share"] == 4 * 16 * 10


class Functional(Net):
    """The same network, whose first batch norm is a function call on tensors of other names."""

    def __init__(self) -> None:
        super().__init__()
        del self.bn1
        self.gain, self.offset = (nn.Parameter(torch.ones(16)) for _ in range(2))
        self.register_buffer("mean", torch.zeros(16))
        self.register_buffer("variance", torch.ones(16))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        mean, variance = self.get_buffer("mean"), self.get_buffer("variance")
        x = torch.relu(F.batch_norm(x, mean, variance, self.gain, self.offset, eps=1e-3))
        x = torch.relu(self.bn2(self.second(x)))
        x = self.alone(torch.relu(self.third(x)))
        out: Tensor = self.head(self.fourth(x).mean((2, 3)))
        return out


def test_a_folded_call_of_batch_norm_is_stored_as_its_arguments(tmp_path: Path) -> None:
    """The stored tensors do not depend on how the folded batch norm was found."""
    network, same = randomised(Net()), randomised(Functional())
    same.load_state_dict(network.state_dict(), strict=False)
    for name, own in (("gain", "weight"), ("offset", "bias")):
        same.get_parameter(name).copy_(network.get_parameter(f"bn1.{own}"))
    same.get_buffer("mean").copy_(network.get_buffer("bn1.running_mean"))
    same.get_buffer("variance").copy_(network.get_buffer("bn1.running_var") + 1e-5 - 1e-3)
    known = deploy(network, IMAGES, form_cache=Always("dense"))
    deployed = Deployed(known.network, known.choices, known.folded, None, same, known.folds)
    write(deployed, IMAGES, "A network.", tmp_path)
    found = read_contents(same, tmp_path / WEIGHTS)
    assert found.missing == {}
    assert found.bits == analyse_network(same, IMAGES).cost({}).bits
    assert {"mean", "variance"} <= found.overhead.keys()
    torch.testing.assert_close(load_exported(tmp_path)(IMAGES), same(IMAGES), rtol=1e-4, atol=1e-4)


class Same(nn.Conv2d):
    """Pads depending on the size of its images, as convolutions of timm do."""

    def forward(self, input: Tensor) -> Tensor:
        sides = [side % 2 for side in input.shape[:1:-1]]
        padded = F.pad(input, [1, sides[0], 1, sides[1]]) if sum(sides) else input
        return F.conv2d(
            padded, self.weight, self.bias, self.stride, groups=self.groups, dilation=self.dilation
        )


@pytest.mark.parametrize("form", ["dense", "grouped", "split", "shifted"])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_a_call_of_a_convolution_is_stored_as_its_weight(
    groups: int, form: str, tmp_path: Path
) -> None:
    """All deployed forms of a subclass store the tensors of the design."""
    convs = [Same(8, 8, 3, groups=groups, bias=groups == 2), nn.BatchNorm2d(8)]
    network = randomised(nn.Sequential(*convs, nn.ReLU(), nn.Flatten()))
    found = exported(network, tmp_path, form)
    assert (found.missing, found.bits) == ({}, analyse_network(network, IMAGES).cost({}).bits)
    statistics = {"header of the file", "1.running_mean", "1.running_var"}
    assert found.overhead.keys() == statistics
    torch.testing.assert_close(
        load_exported(tmp_path)(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-4
    )


def test_a_parametrised_weight_is_stored_as_computed(tmp_path: Path) -> None:
    parts = [weight_norm(nn.Conv2d(8, 8, 3)), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()]
    network = randomised(nn.Sequential(*parts))
    found = exported(network, tmp_path, "dense")
    assert found.payload.keys() == {"0.bias", "1.weight", "1.bias"}
    assert set(found.missing) == {f"0.parametrizations.weight.original{k}" for k in (0, 1)}
    statistics = {"header of the file", "1.running_mean", "1.running_var"}
    assert found.overhead.keys() == {*statistics, "0.weight"}
    assert found.overhead["0.weight"] == 4 * 8 * 8 * 9
    torch.testing.assert_close(
        load_exported(tmp_path)(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-4
    )


class Joined(nn.Module):
    """One batch norm after two parallel convolutions, each with a part of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(8, 6, 3, padding=1, bias=False)
        self.two = nn.Conv2d(8, 10, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(torch.cat([self.one(x), self.two(x)], 1)))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


def test_parts_of_a_folded_batch_norm_are_stored_with_each_convolution(tmp_path: Path) -> None:
    spec = ConvSpec(kernel_shape="cross", binary_basis=4, splits=2)
    network = randomised(redesign(Joined(), {"one": spec}))
    deployed = deploy(network, IMAGES, form_cache=Always("dense"))
    assert deployed.folded == 1
    found = exported(network, tmp_path, "dense")
    assert {"one.basis", "one.selection"} <= found.payload.keys()
    # The batch norm is stored as factors of the first and in the weights of the second.
    assert found.missing == dict.fromkeys(("bn.weight", "bn.bias"), NOT_NEEDED)
    header = "header of the file"
    assert {name: size for name, size in found.overhead.items() if name != header} == {
        "one.factor": 24, "one.shift": 24, "two.bias": 40,
    }  # fmt: skip
    expected = network(IMAGES)
    torch.testing.assert_close(
        load_exported(tmp_path)(IMAGES), expected, rtol=0, atol=1e-5 * float(expected.abs().max())
    )


class Tied(Net):
    """Two layers with a shared weight, and an unused layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fifth = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.fifth.weight = self.fourth.weight
        self.spare = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.third(self.bn2(self.second(self.bn1(self.first(x))))))
        out: Tensor = self.head(self.fifth(torch.relu(self.fourth(x))).mean((2, 3)))
        return out


def test_a_shared_weight_is_stored_once_and_an_unused_one_is_not_stored(
    tmp_path: Path,
) -> None:
    network = randomised(Tied())
    found = exported(network, tmp_path, "dense")
    assert "fourth.weight" in found.payload and "fifth.weight" not in load_file(tmp_path / WEIGHTS)
    unused = {"spare.weight", "spare.bias", "alone.weight", "alone.bias"}
    assert found.missing == dict.fromkeys(unused, NOT_NEEDED)
    assert (
        sum(share.bits for share in tensor_shares(network).values())
        == analyse_network(network, IMAGES).cost({}).bits
    )
    torch.testing.assert_close(
        load_exported(tmp_path)(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-4
    )


def test_the_contents_are_plain_json(tmp_path: Path) -> None:
    found = exported(redesigned(COMBINATIONS["rigid shapes"]), tmp_path, "dense").to_json()
    assert json.loads(json.dumps(found)) == found
    assert found["payload_bits"] == sum(entry["bits"] for entry in found["payload"])
    assert found["payload_bytes"] == sum(entry["bytes"] for entry in found["payload"])
    assert found["overhead_bytes"] == sum(entry["bytes"] for entry in found["overhead"])


def test_tensors_of_a_form_that_is_not_packed_are_overhead(tmp_path: Path) -> None:
    network = redesign(Net(), {"first": ConvSpec(kernel_shape="cross")})
    file = tmp_path / WEIGHTS
    save_file({"first.weight_0_0": torch.zeros(16, 8), "head.bias": torch.zeros(10)}, file)
    found = read_contents(network, file)
    assert found.overhead["first.weight_0_0"] == 4 * 128
    assert found.missing["first.weight"] == AS_DEPLOYED
