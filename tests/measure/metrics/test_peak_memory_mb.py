"""Peak memory of a candidate, and of networks of which it is known by hand.

In float64, the convolution of torch itself runs on every CPU. It unfolds the image to C x 9 numbers
for each output pixel with a 3 x 3 kernel, and does not unfold it with a 1 x 1 kernel. The unit of
the sums is a float64 plane, which is one channel of all images of the batch.
"""

import functools

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, build, deploy
from dsx.conv.deploy import Form
from dsx.conv.native import Kernels, kernels
from dsx.lookup import find
from dsx.measure.metrics.peak_memory_mb import METRIC, peak_bytes
from dsx.process import torch_threads
from tests.measure.candidates import SMALL, SPECS, candidate
from tests.measure.facts import memory
from tests.space.space_files import space

BATCH = "measure: {batch: 1}"


def at(settings: str) -> str:
    """Change the `measure` section of the space."""
    assert BATCH in SMALL
    return SMALL.replace(BATCH, f"measure: {{{settings}}}")


def test_peak_is_in_millions_of_bytes_and_includes_the_input() -> None:
    one = candidate(at("batch: 3, dtype: float64"))
    reading = METRIC.read(one)
    assert memory(reading).input_bytes == 3 * 8 * 8 * 8 == one.sample.nbytes
    assert reading.value == memory(reading).bytes / 1_000_000
    # In float64: input of the stem, unfolded input, and its output of four channels.
    assert memory(reading).bytes >= 3 * 8 * 8 * (1 + 9 + 4) * 8


def test_weights_are_not_counted() -> None:
    """A linear classifier with 128,000 weights for an image of 64 pixels."""
    one = candidate(at("dtype: float64"))
    one.deployed.network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 2000).double()
    )
    assert memory(METRIC.read(one)).bytes == (64 + 2000) * 8


@pytest.mark.parametrize("specs", [{}, SPECS], ids=["baseline", "redesigned"])
def test_peak_is_proportional_to_the_batch_and_reproducible(specs: dict[str, object]) -> None:
    """In float64, the memory of every operator is proportional to the batch."""
    one, four = (candidate(at(f"batch: {n}, dtype: float64")) for n in (1, 4))
    first = METRIC.read(one)
    assert METRIC.read(four).value == 4 * first.value
    assert METRIC.read(one) == first


def test_protocol_is_independent_of_the_time_budget() -> None:
    plain, longer = (
        METRIC.protocol(space(at(words))) for words in ("batch: 1", "budget_seconds: 9.0")
    )
    assert plain == longer


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_backends_that_allocate_through_torch_are_supported(backend: str) -> None:
    assert METRIC.unsupported(space(at(f"backend: {backend}"))) is None


def test_other_backends_are_unsupported() -> None:
    problem = METRIC.unsupported(space(at("backend: openvino")))
    assert problem is not None
    assert "the backend openvino" in problem.reason
    assert problem.reason.endswith("(allowed: compile, eager)")


COUNT, ROWS, COLUMNS = 2, 7, 5
PLANE = 8 * COUNT * ROWS * COLUMNS


def conv(channels: int, out_channels: int, kernel: int = 1) -> nn.Conv2d:
    """Build a convolution that preserves the image size."""
    return nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2)


class Residual(nn.Module):
    """A stem, and two convolutions with a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second = conv(2, 8), conv(8, 8), conv(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the output of the stem until the addition."""
        x = self.stem(x)
        joined: Tensor = x + self.second(torch.relu(self.first(x)))
        return joined


class Branches(nn.Module):
    """Two parallel convolutions whose outputs are concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = conv(2, 3), conv(2, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Keep both outputs until they are copied."""
        return torch.cat([self.left(x), self.right(x)], 1)


class Blocked(nn.Module):
    """A network that torch.fx cannot trace."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(2, 8), conv(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Branch on the batch size."""
        x = self.first(x)
        out: Tensor = self.second(x) if len(x) > 1 else self.second(-x).abs()
        return out


NORM = nn.BatchNorm2d(8)
CASES = {
    # The peak is in the second convolution: input, unfolded input and output.
    "chain": (nn.Sequential(conv(2, 3, 3), nn.ReLU(), conv(3, 1, 3)), 3 + 27 + 1),
    # The peak is in the first convolution, which has the largest unfolded input.
    "wide at first": (nn.Sequential(conv(2, 3, 3), nn.ReLU(), conv(3, 1)), 18 + 3),
    "relu": (nn.Sequential(conv(2, 8), nn.ReLU(), conv(8, 1)), 8 + 8),
    "relu in place": (nn.Sequential(conv(2, 8), nn.ReLU(inplace=True), conv(8, 1)), 8 + 1),
    "folded norm": (nn.Sequential(conv(2, 8), NORM, nn.ReLU(inplace=True), conv(8, 1)), 8 + 1),
    "residual": (Residual(), 8 + 8 + 8),
    "concatenation": (Branches(), 3 + 5 + 8),
}  # fmt: skip


def images(dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a batch of images with two channels."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(COUNT, 2, ROWS, COLUMNS, generator=generator, dtype=dtype)


@pytest.mark.parametrize("name", CASES)
def test_peak_equals_the_sum_computed_by_hand(name: str) -> None:
    network, planes = CASES[name]
    x = images()
    deployed = deploy(network.double(), x)
    assert deployed.untraced is None
    assert peak_bytes(functools.partial(deployed, x), "cpu") == planes * PLANE


def test_peak_is_in_bytes_for_every_dtype() -> None:
    """Use no convolutions, which another library computes in float32."""
    network = nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.ReLU())
    for dtype, size in ((torch.float32, 4), (torch.bfloat16, 2)):
        peak = peak_bytes(functools.partial(network, images(dtype)), "cpu")
        assert peak == 2 * 2 * COUNT * ROWS * COLUMNS * size


def test_untraced_networks_keep_what_python_references() -> None:
    x = images()
    deployed = deploy(Blocked().double(), x)
    assert deployed.untraced is not None
    assert peak_bytes(functools.partial(deployed, x), "cpu") == (8 + 1) * PLANE


def test_peak_is_reproducible_and_torch_is_unchanged() -> None:
    x = images()
    run = functools.partial(deploy(CASES["residual"][0].double(), x), x)
    assert len({peak_bytes(run, "cpu") for _ in range(5)}) == 1
    assert not torch.is_inference_mode_enabled()
    with torch.autograd.profiler.profile():  # would refuse to begin inside another one
        run()


def test_recording_ends_if_the_network_fails() -> None:
    calls = []

    def fail_later() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        peak_bytes(fail_later, "cpu")
    assert peak_bytes(lambda: torch.ones(10, dtype=torch.float64), "cpu") == 80


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_cuda_counts_blocks_of_512_bytes() -> None:
    x = torch.ones(100, device="cuda")
    assert peak_bytes(lambda: (x + 1) * 2, "cuda") == 2 * 512


@pytest.mark.skipif(not isinstance(kernels(), Kernels), reason="needs the compiled kernels")
def test_buffers_of_the_compiled_kernels_are_included() -> None:
    def convolution(channels: int) -> nn.Module:
        conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        form = find(Form, "block_sparse").build(build(ConvSpec(kernel_shape="cross"), conv))
        assert form is not None
        return form

    small, large = convolution(8), convolution(64)
    image, output, padded = torch.randn(1, 8, 16, 16), 8 * 16 * 16 * 4, 8 * 18 * 18 * 4
    with torch_threads(1):
        peak = peak_bytes(functools.partial(small, image), "cpu")
        assert output + padded <= peak <= output + padded + 8192
        # The buffers of a larger convolution before do not count.
        large(torch.randn(1, 64, 32, 32))
        assert peak_bytes(functools.partial(small, image), "cpu") == peak
