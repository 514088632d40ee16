"""Multiply-adds by operator, compared with closed forms and with two other counters."""

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dsx.measure.metrics.flops import count_operators, network_notes
from dsx.space.network.analysis import NetworkAnalysis, analyse_network
from dsx.space.network.operators import is_free
from tests.space import networks

IMAGES = torch.zeros(2, 1, 8, 8)
CONV, HEAD, TIMES = 8 * 9 * 64, 10, 8
"""Multiply-adds of the slot, and of the head per feature; number of time steps."""


class Around(nn.Module):
    """A convolution, a middle part on sequences (B, 8, 64), the mean over time, and a head."""

    def __init__(self, middle: nn.Module, features: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.middle = middle
        self.head = nn.Linear(features, 10)

    def forward(self, x: Tensor) -> Tensor:
        found: Any = self.middle(self.conv(x).flatten(2))
        found = found[0] if isinstance(found, tuple) else found
        out: Tensor = self.head(found.mean(1))
        return out


class Own(nn.Module):
    """Middle part that computes with its own weights."""

    def __init__(self, compute: Callable[..., Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.compute = compute
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(shape)) for shape in shapes])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.compute(x, *self.weights)
        return out


class Packed(nn.Module):
    """Recurrent middle part on packed sequences."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, [TIMES] * len(x), batch_first=True)
        out: Tensor = nn.utils.rnn.pad_packed_sequence(self.inner(packed)[0], batch_first=True)[0]
        return out


class Cells(nn.Module):
    """Recurrent middle part, implemented with a cell and a loop."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        seen = []
        for time in range(TIMES):
            state = self.cell(x[:, time], state)
            seen.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(seen, 1)


class Pairs(nn.Bilinear):
    """Bilinear form of each sequence with itself."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, x)


class Attentive(nn.MultiheadAttention):
    """Self-attention of each sequence."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, x, x)[0]


class Bag(nn.Module):
    """Mean of embedding vectors, as computed by nn.EmbeddingBag."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(20, 6)

    def forward(self, x: Tensor) -> Tensor:
        numbers = x[:, :, :4].long().clamp(0, 19).reshape(-1, 4)
        out: Tensor = self.bag(numbers).reshape(len(x), TIMES, 6)
        return out


class Frozen(nn.Module):
    """Middle part in inference mode, in which torch does not decompose composite operators."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            out: Tensor = self.linear(x)
        return out.clone()


class Sequence1d(nn.Module):
    """1-d convolution over the features of each sequence."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x).mean(-1, keepdim=True).mT
        return out


def recurrent(kind: str, **options: Any) -> nn.Module:
    made: nn.Module = getattr(nn, kind)(64, 32, batch_first=True, **options)
    return made


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEP = 32 * (64 + 32)
"""Multiply-adds of one gate in one time step: 64 inputs and 32 states to 32 outputs."""
COUNTED: dict[str, tuple[nn.Module, int, int]] = {
    **{kind: (recurrent(kind), 32, g * STEP * TIMES) for kind, g in GATES.items()},
    **{
        f"{kind}, both ways": (recurrent(kind, bidirectional=True), 64, 2 * g * STEP * TIMES)
        for kind, g in GATES.items()
    },
    **{
        f"{kind} of two layers": (
            recurrent(kind, num_layers=2), 32, g * (STEP + 32 * 64) * TIMES
        )
        for kind, g in GATES.items()
    },
    **{
        f"{kind}, packed": (Packed(recurrent(kind)), 32, g * STEP * TIMES)
        for kind, g in GATES.items()
    },
    **{
        f"{kind}Cell": (Cells(getattr(nn, f"{kind}Cell")(64, 32)), 32, g * STEP * TIMES)
        for kind, g in GATES.items()
    },
    "projections": (
        recurrent("LSTM", proj_size=16), 16, (4 * 32 * (64 + 16) + 32 * 16) * TIMES
    ),
    "Bilinear": (Pairs(64, 64, 5), 5, TIMES * 64 * 64 * 5),
    "EmbeddingBag": (Bag(), 6, 0),
    "attention": (Attentive(64, 4, batch_first=True), 64, 4 * 8 * 64 * 64 + 2 * 8 * 8 * 64),
    "functional attention": (
        Own(lambda x: F.scaled_dot_product_attention(x, x, x)), 64, 2 * 8 * 8 * 64
    ),
    "bmm": (Own(lambda x: torch.bmm(x, x.mT)), 8, 8 * 8 * 64),
    "einsum": (Own(lambda x, w: torch.einsum("btc,cd->btd", x, w), (64, 7)), 7, 8 * 64 * 7),
    "einsum without an arrow": (
        Own(lambda x, w: torch.einsum("abc,cd", x, w), (64, 7)), 7, 8 * 64 * 7
    ),
    "einsum without a sum": (Own(lambda x, w: torch.einsum("btc,c->btc", x, w), (64,)), 64, 0),
    "a vector": (Own(lambda x, w: (x @ w)[..., None], (64,)), 1, 8 * 64),
    "in place": (Own(lambda x, w: x.new_zeros(len(x), 8, 5).baddbmm_(x, w.expand(len(x), 64, 5)),
                     (64, 5)), 5, 8 * 64 * 5),
    "an adapter of low rank": (
        Own(lambda x, w, a, b: F.linear(x, w) + x @ a @ b, (20, 64), (64, 4), (4, 20)),
        20, 8 * (64 * 20 + 64 * 4 + 4 * 20),
    ),
    # The product of the weights is computed once, regardless of the number of images.
    "a merged adapter": (
        Own(lambda x, w, a, b: F.linear(x, w + (a @ b).mT), (20, 64), (64, 4), (4, 20)),
        20, 8 * 64 * 20 + 64 * 4 * 20,
    ),
    "groups": (Sequence1d(nn.Conv1d(8, 6, 3, groups=2)), 6, 62 * 6 * 4 * 3),
    "transposed": (
        Sequence1d(nn.ConvTranspose1d(8, 6, 3, stride=2, groups=2)), 6, 64 * 8 * 3 * 3
    ),
}  # fmt: skip


def counts(middle: nn.Module, features: int) -> tuple[nn.Module, NetworkAnalysis]:
    network = Around(middle, features).eval()
    return network, analyse_network(network, IMAGES)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", COUNTED)
def test_operators_are_counted(name: str) -> None:
    middle, features, flops = COUNTED[name]
    network, found = counts(middle, features)
    assert found.rest.flops == flops + features * HEAD
    assert found.cost({}).flops == CONV + found.rest.flops
    assert (found.uncounted, network_notes(network, found)) == ({}, [])
    # fvcore follows the graph; the counter of torch supports neither this LSTM nor vectors.
    assert count_operators(network, IMAGES[:1]).counted == found.cost({}).flops


@pytest.mark.parametrize(
    "name", ["GRU", "RNN", "bmm", "einsum", "an adapter of low rank", "groups"]
)
def test_the_counter_of_torch_reports_twice_as_much(name: str) -> None:
    middle, features, _ = COUNTED[name]
    network, found = counts(middle, features)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(IMAGES[:1])
    assert counter.get_total_flops() == 2 * found.cost({}).flops


def test_inference_mode_is_counted() -> None:
    assert counts(Frozen(), 5)[1].rest.flops == 8 * 64 * 5 + 5 * HEAD


class Twice(nn.Conv2d):
    """Convolution that is computed twice."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(super().forward(x))


class Paired(nn.Conv2d):
    """Convolution that returns a tuple."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x), None  # type: ignore[return-value]


class Fails(nn.Conv2d):
    """Convolution that raises an exception, which the network catches."""

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Subclassed(networks.Tiny):
    """Network with a subclass of nn.Conv2d: 1 to 8 to 8 channels, and a head."""

    def __init__(self, kind: type[nn.Conv2d]) -> None:
        super().__init__(8)
        self.mix = nn.Conv2d(1, 8, 3, padding=1)
        self.conv = kind(8, 8, 3, padding=1)

    def features(self, x: Tensor) -> Tensor:
        try:
            found: Any = self.conv(self.mix(x))
        except NotImplementedError:
            found = F.conv2d(self.mix(x), self.conv.weight, padding=1)
        out: Tensor = found[0] if isinstance(found, tuple) else found
        return out


@pytest.mark.parametrize(
    ("kind", "flops"),
    [(nn.Conv2d, 41_552), (Twice, 78_416), (Paired, 41_552), (Fails, 41_552 + 4_608)],
)
def test_subclasses_are_counted_by_operator(kind: type[nn.Conv2d], flops: int) -> None:
    network = Subclassed(kind)
    found = analyse_network(network, IMAGES)
    assert found.cost({}).flops == flops
    if kind is not Fails:  # torch.jit crashes if a module raises an exception
        assert count_operators(network.eval(), IMAGES[:1]).counted == flops
    slots = ["mix", "conv"] if kind is nn.Conv2d else ["mix"]
    assert [slot.name for slot in found.slots] == slots


def test_a_convolution_with_a_patched_forward_is_excluded() -> None:
    network = Subclassed(nn.Conv2d)

    def twice(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(F.conv2d(x, weight, bias, padding=1), weight, bias, padding=1)

    network.conv._conv_forward = twice  # type: ignore[method-assign, assignment]
    found = analyse_network(network, IMAGES)
    assert found.excluded == {
        "conv": "has more than a weight and a bias, which a redesign would lose"
    }
    assert found.cost({}).flops == 78_416


def test_a_network_that_requires_batches_is_averaged_over_a_batch() -> None:
    assert (
        analyse_network(networks.Batched(), IMAGES).cost({}).flops == 4 * 64 + 4 * 4 * 9 * 64 + 40
    )


@torch.library.custom_op("dsx_tests::product", mutates_args=())
def product(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply two matrices in a way that no counter sees."""
    return x @ weight


class Function(torch.autograd.Function):
    """Matrix product with a user-defined gradient."""

    @staticmethod
    def forward(context: object, x: Tensor, weight: Tensor) -> Tensor:
        return x @ weight


def test_unknown_operators_are_named() -> None:
    network, found = counts(Own(lambda x, w: product(x, w), (64, 5)), 5)
    assert found.uncounted == {"dsx_tests::product": 1}
    (note,) = network_notes(network, found)
    assert note.startswith("flops do not include the unknown operators dsx_tests::product (1); ")
    assert counts(Own(torch.cdist, (5, 64)), 5)[1].uncounted == {"aten::_cdist_forward": 1}


def test_disagreeing_counters_are_both_reported() -> None:
    network, found = counts(Own(Function.apply, (64, 5)), 5)
    assert (found.rest.flops, found.uncounted) == (8 * 64 * 5 + 5 * HEAD, {})
    (note,) = network_notes(network, found)
    assert "fvcore counts 4,658" in note and "dsx 7,218" in note
    assert "does not know prim::PythonOp.Function (1)" in note


def quantised(x: Tensor, scale: Tensor) -> Tensor:
    """Quantise a tensor per tensor, with tensor scales and per channel, and copy it."""
    zeros = torch.zeros(len(scale), dtype=torch.int32)
    whole = torch.fake_quantize_per_tensor_affine(x, 0.1, 0, -128, 127)
    whole = torch.fake_quantize_per_tensor_affine(whole, scale[:1], zeros[:1], -128, 127)
    parts = torch.fake_quantize_per_channel_affine(whole, scale, zeros, 1, -128, 127)
    return torch.quantize_per_tensor(parts, 0.1, 0, torch.qint8).dequantize()


# Deprecated, but still in use.
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantisation_is_free() -> None:
    network, found = counts(Own(quantised, (8,)), 64)
    assert (found.rest.flops, network_notes(network, found)) == (64 * HEAD, [])


FREE_FAMILIES = re.compile(
    r"_?(fake_quantize|quantize_per|q_|philox_(normal|uniform)|special_|foreach_(?!mm)|pad_|cast_"
    r"|l1_|smooth_l1|mse_|nll_|(max|avg|adaptive_\w+)_pool|\w*norm_legit|(arc|a)(cos|sin|tan))"
)
PRODUCTS = re.compile(
    r"(\w+_)?(mm|bmm|baddbmm|addbmm|addmm|matmul|mv|addmv|dot|conv(_transpose)?[123]d|"
    r"convolution\w*|linear|einsum|bilinear|gru|lstm|rnn|cdist|pdist|fft_[a-z]?fft\w*|"
    r"svd|qr|inv|solve|cholesky|det|eigh?)"
)


def test_all_operators_of_a_family_are_classified_equally() -> None:
    names = {schema.name.removeprefix("aten::") for schema in torch._C._jit_get_all_schemas()
             if schema.name.startswith("aten::")}  # fmt: skip
    assert len(names) > 1000
    for name in sorted(names):
        if FREE_FAMILIES.match(name) and "backward" not in name:
            assert is_free(f"aten::{name}"), name
        if PRODUCTS.fullmatch(name.strip("_")):
            assert not is_free(f"aten::{name}"), name


@pytest.mark.parametrize(
    ("name", "free"),
    [("aten::relu_", True), ("aten::_softmax", True), ("aten::view", True), ("aten::mean", True),
     ("aten::_foreach_mul_", True), ("aten::_foreach_mm", False), ("aten::permute_copy", True),
     ("aten::special_ndtr", True), ("aten::special_no_such_function", False),
     ("aten::fused_moving_avg_obs_fake_quant", True), ("aten::__and__", True),
     ("aten::mm", False), ("aten::_fft_r2c", False), ("aten::linalg_inv_ex", False),
     ("aten::_linalg_svd", False), ("aten::no_such_operator", False), ("mine::relu", False),
     ("prim::PythonOp", False)],
)  # fmt: skip
def test_known_operators_are_free(name: str, free: bool) -> None:
    assert is_free(name) is free


HIGHER = """
import torch
from torch.nn.attention.flex_attention import flex_attention
from dsx.space.probe.behaviour import check_behaviour
from dsx.space.network.analysis import analyse_network
from tests.space.network.test_operators import Around, Higher
from torch import nn

def attend(x):
    return flex_attention(x[:, None], x[:, None], x[:, None])[:, 0]

def choose(x):
    twice = lambda x: (x @ x.transpose(1, 2) @ x).contiguous()
    return torch.cond(x.sum() > -1e9, twice, lambda x: x.sin().contiguous(), (x,))

for compute in (choose, attend):
    network = Around(Higher(compute), 64).eval()
    nn.init.ones_(network.conv.weight)
    found = analyse_network(network, torch.ones(2, 1, 8, 8))
    notes = check_behaviour(network, torch.randn(2, 1, 8, 8))
    print(found.rest.flops, dict(found.uncounted), notes)
"""


class Higher(nn.Module):
    """Middle part that computes a function."""

    def __init__(self, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(x)


def test_higher_order_operators_are_counted_by_their_operands() -> None:
    """Run in a new process, since the first higher-order operator imports the compiler."""
    command = [sys.executable, "-W", "ignore", "-c", HIGHER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Eight tokens of 64 values: two matrix products.
    flops = 2 * 8 * 8 * 64 + 64 * HEAD
    assert done.stdout.splitlines() == [f"{flops} {{}} []"] * 2
