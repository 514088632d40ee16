"""Multiply-adds: the closed form compared with a counter of operators."""

import re
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dsx.analysis.measurement import OperatorCount
from dsx.conv import ConvSpec, build
from dsx.conv.deploy import Form
from dsx.conv.deploy._choose import candidates
from dsx.conv.native import Kernels, kernels
from dsx.errors import WorkFailed
from dsx.lookup import find, names
from dsx.measure import Candidate, Measurement, Provenance
from dsx.measure.metrics.flops import METRIC, count
from dsx.space import load_space, redesign
from dsx.space.network.analysis import analyse_network
from tests.measure.candidates import EVERYTHING, SPECS, candidate
from tests.space import networks
from tests.space.networks import TANGLE_SLOTS, Tangle
from tests.space.sampling import sample_design
from tests.space.space_files import space, with_rules

SHIPPED = {name: load_space(name) for name in ("digits",)}
ALL_SHAPES = space(EVERYTHING)
IMAGE = torch.zeros(1, 1, 8, 8)


def agree(one: Candidate) -> bool:
    """Check whether closed form and counter agree for a candidate."""
    image = torch.zeros(1, *one.space.data.image_shape)
    return one.cost.flops == METRIC.read(one).value == count(one.network, image)


@pytest.mark.parametrize("name", sorted(SHIPPED))
@given(data=st.data())
@settings(max_examples=8)
def test_closed_form_equals_counter_for_shipped_spaces(name: str, data: st.DataObject) -> None:
    assert agree(Candidate(SHIPPED[name], sample_design(data, SHIPPED[name])))


@given(data=st.data())
@settings(max_examples=25)
def test_closed_form_equals_counter_for_every_kernel_shape(data: st.DataObject) -> None:
    assert agree(Candidate(ALL_SHAPES, sample_design(data, ALL_SHAPES)))


@given(data=st.data())
@settings(max_examples=15)
def test_closed_form_equals_counter_for_many_networks(data: st.DataObject) -> None:
    found = analyse_network(Tangle(), torch.zeros(2, 3, 12, 12))
    specs = {}
    for slot in found.slots:
        shapes = ["full"] + ["cross", "corners", "het2"] * (slot.kernel_size == (3, 3))
        divisors = [d for d in range(1, 13) if slot.in_channels % d == 0]
        spec = ConvSpec(
            kernel_shape=data.draw(st.sampled_from(shapes)),
            groups=data.draw(st.sampled_from(divisors)),
            channel_stride=data.draw(st.sampled_from([0.5, 1.0])),
            separable=data.draw(st.booleans()),
        )
        specs[slot.name] = spec.at(slot)
    assert list(specs) == TANGLE_SLOTS
    network = redesign(Tangle(), specs)
    assert count(network, torch.zeros(1, 3, 12, 12)) == found.cost(specs).flops


def test_a_sparse_design_counts_less_than_the_dense_one() -> None:
    dense = METRIC.read(candidate())
    sparse = METRIC.read(candidate(specs=SPECS))
    assert count(candidate(specs=SPECS).network, IMAGE) < count(candidate().network, IMAGE)
    assert sparse.value < dense.value


@pytest.mark.parametrize(
    ("shape", "live"),
    [("full", 9), ("point", 1), ("cross", 5), ("saltire", 5), ("row", 3), ("lines", 3),
     ("corners", 4), ("halves", 6), ("checker", 5)],
)  # fmt: skip
def test_only_live_positions_are_counted(shape: str, live: int) -> None:
    conv = nn.Conv2d(8, 8, 3, padding=1)
    module = build(ConvSpec(kernel_shape=shape), conv)
    # 8 -> 8 channels on 10 x 10 outputs; a masked dense kernel would have 57,600.
    assert count(module, torch.zeros(1, 8, 10, 10)) == 8 * 8 * live * 100


def test_one_multiply_add_counts_as_one() -> None:
    assert count(nn.Conv2d(3, 4, 3, bias=True), torch.zeros(1, 3, 5, 6)) == 3 * 4 * 9 * 3 * 4
    assert count(nn.Linear(5, 7), torch.zeros(1, 5)) == 35
    assert count(nn.ConvTranspose2d(3, 4, 2, stride=2), torch.zeros(1, 3, 5, 6)) == 3 * 4 * 4 * 30
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"), nn.BatchNorm2d(2), nn.ReLU(True),
                            nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Dropout())  # fmt: skip
    assert count(network, IMAGE) == 2 * 9 * 64


def test_padding_of_an_even_kernel_is_supported() -> None:
    with warnings.catch_warnings():
        # torch warns that padding an even kernel on one side requires a copy.
        warnings.simplefilter("ignore")
        assert count(nn.Conv2d(1, 2, 4, padding="same"), IMAGE) == 2 * 16 * 64


def test_counting_does_not_change_the_network() -> None:
    network = candidate(specs=SPECS).network.train()
    modules = list(network.modules())
    count(network, IMAGE)
    assert list(network.modules()) == modules
    assert all(module.training for module in modules)
    for module in modules:
        assert not module._forward_hooks


@pytest.mark.parametrize(
    "activation",
    [nn.Tanh(), nn.Softplus(), nn.Mish(), nn.PReLU(), nn.ELU(), nn.SiLU(True), nn.LogSoftmax(1),
     nn.PixelShuffle(2), nn.AvgPool2d(2), nn.AlphaDropout(), nn.LeakyReLU(0.1, True)],
)  # fmt: skip
def test_common_operators_are_free(activation: nn.Module) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), activation)
    assert count(network, IMAGE) == 4 * 9 * 36


def test_unknown_operator_is_an_error() -> None:
    with pytest.raises(
        WorkFailed, match=re.escape("the operator counter does not know aten::fft_fft")
    ):
        count(networks.Strange(), IMAGE)


def test_custom_autograd_function_is_not_free() -> None:
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(context: object, x: Tensor) -> Tensor:
            return x * 2

    class Network(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = Own.apply(x)  # type: ignore[no-untyped-call]
            return out

    with pytest.raises(WorkFailed, match="does not know prim::PythonOp"):
        count(Network(), IMAGE)


def test_baseline_is_also_counted_by_operator() -> None:
    reading = METRIC.read(candidate())
    assert reading.provenance.operators == OperatorCount(counted_by_operator=int(reading.value))
    assert METRIC.read(candidate(specs=SPECS)).provenance == Provenance()


def baseline_of(network: str) -> Measurement:
    text = with_rules("{match: '*', groups: [2]}", model=f"{__name__}:{network}")
    return METRIC.read(candidate(text.replace("{width: 8}", "{}")))


class Twice(networks.Strange):
    """A network that calls an unknown operator twice."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x) + torch.fft.fft(x).real.mean()
        return out


class Unfollowed(networks.Tiny):
    """A network that raises an error in a tracer."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            raise TypeError("no tracing, please")
        return super().forward(x)


def test_unknown_operators_of_the_baseline_are_named() -> None:
    reading = baseline_of("Twice")
    assert reading.value == 4 * 64 + 4 * 4 * 9 * 64 + 40
    assert reading.provenance.operators == OperatorCount(
        counted_by_operator=int(reading.value),
        # Means and sums are free.
        unknown_operators={"aten::_fft_r2c": 2},
    )


def test_baseline_that_cannot_be_traced_has_the_reason() -> None:
    problem = "the operator counter cannot trace the network: TypeError: no tracing, please"
    found = baseline_of("Unfollowed").provenance.operators
    assert found == OperatorCount(not_counted_by_operator=problem)


def test_the_additions_that_merge_binary_maps_are_counted() -> None:
    one = build(ConvSpec(binary_basis=2, splits=4), nn.Conv2d(8, 16, 3, padding=1, bias=False))
    two = build(ConvSpec(binary_basis=2, splits=2), nn.Conv2d(16, 16, 3, stride=2, bias=False))
    network = nn.Sequential(one, nn.ReLU(), two)
    image = torch.zeros(1, 8, 6, 6)
    # Maps: 2 filters over every channel at 9 positions. Merge: one addition less than splits.
    first, second = 36 * (2 * 8 * 9 + 16 * 3), 4 * (2 * 16 * 9 + 16 * 1)
    assert count(network, image) == first + second
    assert count(network, image) == one.cost((6, 6)).flops + two.cost((2, 2)).flops


def deployed_count(spec: ConvSpec, form: str) -> int:
    conv = build(spec, nn.Conv2d(8, 16, 3, padding=1, bias=False))
    built = find(Form, form).build(conv)
    assert built is not None
    return count(built, torch.zeros(1, 8, 6, 6))


def test_deployed_forms_count_what_they_compute() -> None:
    # Every basis filter over every split, and one addition for each output.
    maps = deployed_count(ConvSpec(binary_basis=2, splits=2), "maps_merge")
    assert maps == 36 * (2 * 8 * 9 + 16 * 1)
    # Shifted rows have the width of the padded image, two columns more than the output.
    assert deployed_count(ConvSpec(kernel_shape="cross"), "shifted") == 6 * 8 * 8 * 16 * 5


SPECS_OF_FORMS = [
    *(
        ConvSpec(kernel_shape=shape, groups=groups, channel_stride=stride, binary_basis=basis)
        for shape in ("full", "row", "cross", "lines", "het2")
        for groups, stride in ((1, None), (2, 0.5), (4, 1.0))
        for basis in (0, 2)
    ),
    ConvSpec(kernel_shape="learned", block_in=4, block_out=4),
]


@pytest.mark.parametrize(
    "slot",
    [nn.Conv2d(8, 16, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1, padding_mode="circular")],
    ids=lambda slot: slot.padding_mode,
)
def test_the_operators_of_every_deployed_form_are_known(slot: nn.Conv2d) -> None:
    tried = set()
    for spec in SPECS_OF_FORMS:
        for name, form in candidates(build(spec, slot), native=True).items():
            assert count(form, torch.zeros(1, 8, 8, 8)) > 0, (name, spec)
            tried.add(name)
    native = {name for name in names(Form) if find(Form, name).native}
    compiled = isinstance(kernels(), Kernels) and slot.padding_mode == "zeros"
    assert tried == (set(names(Form)) if compiled else set(names(Form)) - native)


@pytest.mark.skipif(not isinstance(kernels(), Kernels), reason="needs the compiled kernels")
def test_forms_of_the_compiled_kernels_count_their_weights() -> None:
    assert deployed_count(ConvSpec(kernel_shape="cross"), "block_sparse") == 36 * 8 * 16 * 5
    separable = ConvSpec(separable=True, groups=2)
    assert deployed_count(separable, "block_sparse") == 36 * (8 * 9 + 4 * 16)
    maps = deployed_count(ConvSpec(binary_basis=2, splits=2), "block_sparse_maps")
    assert maps == 36 * (2 * 8 * 9 + 16 * 1)


@pytest.mark.parametrize(
    ("left", "right", "products"),
    [((4,), (4,), 4), ((3, 4), (4,), 12), ((2, 3, 4), (4,), 24), ((4,), (4, 5), 20),
     ((4,), (2, 4, 5), 40), ((3, 4), (4, 5), 60), ((2, 3, 4), (4, 5), 120),
     ((2, 1, 3, 4), (5, 4, 6), 720)],
)  # fmt: skip
def test_products_of_matrices_and_vectors(
    left: tuple[int, ...], right: tuple[int, ...], products: int
) -> None:
    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.new_ones(left) @ x.new_ones(right)

    assert count(Product(), torch.zeros(1, 1)) == products
