"""Selection of deployed forms with simulated timers."""

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dsx.conv import ConvSpec, DsxConv, build, preset
from dsx.conv.deploy import Choice, Runner
from dsx.conv.deploy._choose import candidates, choose, situation
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.native import Kernels
from dsx.conv.timing import Run
from tests.conv.deploy.networks import BINARY, CORNERS, CROSS, LEARNED, SEPARABLE, SLIDING

ROW = ConvSpec(kernel_shape="row", groups=2)


class Script:
    """A timer that returns given times."""

    def __init__(self, *times: Sequence[float]) -> None:
        self.times = list(times)
        self.calls: list[int] = []

    def __call__(self, runs: Sequence[Run], seconds: float) -> list[float]:
        self.calls.append(len(runs))
        times = list(self.times.pop(0))
        assert len(times) == len(runs)
        return times


def convolution(spec: ConvSpec = ROW) -> DsxConv:
    """Build a convolution with several deployed forms."""
    return build(spec, nn.Conv2d(8, 8, 3, padding=1))


X = torch.zeros(1, 8, 6, 6)


def test_the_best_two_forms_and_the_dense_one_are_timed_again() -> None:
    conv = convolution(ConvSpec(kernel_shape="row", groups=2, channel_stride=1.0))
    assert list(candidates(conv, False)) == ["box", "dense", "grouped", "window_gemm"]
    timer, form_cache = Script([3.0, 4.0, 1.0, 2.0], [2.5, 1.5, 9.0]), dict[str, Choice]()
    module, choice = choose(conv, X, timer, form_cache, native=False)
    assert timer.calls == [4, 3]
    assert choice.form == "window_gemm"
    assert choice.seconds == {"box": 3.0, "dense": 9.0, "grouped": 2.5, "window_gemm": 1.5}
    assert type(module).__name__ == "WindowGemm"
    assert list(form_cache.values()) == [choice]


def test_dense_is_selected_if_it_is_the_fastest_when_timed_again() -> None:
    conv = convolution(ConvSpec(kernel_shape="row", groups=2, channel_stride=1.0))
    _, choice = choose(conv, X, Script([3.0, 4.0, 1.0, 2.0], [5.0, 6.0, 4.5]), {}, native=False)
    assert choice.form == "dense"


NUMBERS = st.lists(st.floats(0.1, 9), min_size=4, max_size=4)


@given(screen=NUMBERS, final=NUMBERS)
def test_the_selected_form_is_never_slower_than_dense(
    screen: list[float], final: list[float]
) -> None:
    conv = convolution(ConvSpec(kernel_shape="row", groups=2, channel_stride=1.0))
    calls: list[dict[Run, float]] = []

    def timer(runs: Sequence[Run], seconds: float) -> list[float]:
        calls.append(dict(zip(runs, (final if calls else screen), strict=False)))
        return list(calls[-1].values())

    _, choice = choose(conv, X, timer, {}, native=False)
    assert choice.seconds[choice.form] <= choice.seconds["dense"]


@pytest.mark.parametrize("spec", [CROSS, CORNERS, SLIDING, SEPARABLE, LEARNED, BINARY])
def test_dense_is_among_the_forms(spec: ConvSpec) -> None:
    forms = candidates(convolution(spec), native=False)
    assert "dense" in forms
    if spec.separable:
        assert {"depthwise + dense", "depthwise + window_gemm"} <= set(forms)


def test_the_situation_contains_everything_that_speed_depends_on() -> None:
    conv = convolution()
    base = situation(conv, X, native=False)
    assert json.loads(base)["spec"] == conv.spec.to_json()
    others = [
        (conv, X[:, :, :5], False),
        (conv, X.expand(2, -1, -1, -1), False),
        (conv, X.double(), False),
        (conv, X.contiguous(memory_format=torch.channels_last), False),
        (conv, X, True),
        (convolution(CROSS), X, False),
        (build(conv.spec, nn.Conv2d(8, 16, 3, padding=1)), X, False),
        (build(conv.spec, nn.Conv2d(8, 8, 3, padding=1, bias=False)), X, False),
        (build(conv.spec, nn.Conv2d(8, 8, 5, padding=1)), X, False),
        (build(conv.spec, nn.Conv2d(8, 8, 3, padding=0)), X, False),
        (build(conv.spec, nn.Conv2d(8, 8, 3, 2, padding=1)), X, False),
        (build(conv.spec, nn.Conv2d(8, 8, 3, padding=1, dilation=2)), X, False),
        (build(conv.spec, nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")), X, False),
    ]
    keys = [situation(*other) for other in others]
    assert len({base, *keys}) == len(others) + 1
    assert situation(convolution(), X.clone(), native=False) == base


@pytest.mark.parametrize("rigid", [False, True])
def test_learned_shapes_are_part_of_the_situation(rigid: bool) -> None:
    conv = convolution(preset("lhc", rigid=rigid, block_in=4, block_out=4))
    assert isinstance(conv, LearnedConv2d)
    base = situation(conv, X, native=False)
    assert situation(convolution(conv.spec), X, native=False) != base
    with torch.no_grad():
        # Other weights and scores, but the same shapes.
        conv.weight.neg_()
        conv.shape_scores.mul_(2)
        assert situation(conv, X, native=False) == base
        conv.enable(torch.arange(8) > 0)
        assert situation(conv, X, native=False) != base
        conv.enable(torch.ones(8).bool())
        conv.shape_scores[:, 0, 0] = -conv.shape_scores[:, 0, 0]
        assert situation(conv, X, native=False) != base


def test_the_values_of_a_basis_are_not_part_of_the_situation() -> None:
    spec = preset("slbf", k=4)
    first, second = convolution(spec), convolution(spec)
    assert situation(first, X, native=False) == situation(second, X, native=False)
    other = convolution(dataclasses.replace(spec, scale=True))
    assert situation(other, X, native=False) != situation(first, X, native=False)


def test_forms_are_timed_for_each_learned_shape() -> None:
    form_cache = dict[str, Choice]()
    conv = convolution(preset("lhc", block_in=8, block_out=4))
    assert isinstance(conv, LearnedConv2d)
    calls = []

    def timer(runs: Sequence[Run], seconds: float) -> list[float]:
        calls.append(len(runs))
        return [float(number) for number in range(len(runs), 0, -1)]

    for position in (0, 1, 1):
        nn.init.constant_(conv.shape_scores, -1)
        with torch.no_grad():
            conv.shape_scores[position, position] = 1
            conv.shape_scores[2] = 1
        module, _ = choose(conv, X, timer, form_cache, native=False)
        torch.testing.assert_close(module(X + 1), conv(X + 1))
    # The third is in the form cache: two timings for each of the other two.
    assert len(form_cache) == 2
    assert len(calls) == 4


def test_a_scale_from_a_folded_bn_is_part_of_the_situation() -> None:
    plain, folded = (convolution(ConvSpec(binary_basis=2, splits=2)) for _ in range(2))
    folded.scale_outputs(torch.ones(8), torch.ones(8))
    assert situation(plain, X, native=False) != situation(folded, X, native=False)


def test_the_runner_is_part_of_the_situation() -> None:
    base = situation(convolution(), X, native=False)
    assert situation(convolution(), X, native=False, runner="eager") == base
    assert situation(convolution(), X, native=False, runner="other 1.0") != base


@pytest.mark.parametrize("unsupported", ["box", "window_gemm", "dense"])
def test_a_form_that_cannot_be_run_is_not_timed(unsupported: str) -> None:
    conv = convolution(ConvSpec(kernel_shape="row", groups=2, channel_stride=1.0))
    forms = list(candidates(conv, False))
    supported = [name for name in forms if name != unsupported]

    def prepare(modules: Sequence[nn.Module], sample: Tensor) -> list[Run | None]:
        assert torch.equal(sample, X)
        return [None if name == unsupported else functools.partial(module, sample)
                for name, module in zip(forms, modules, strict=True)]  # fmt: skip

    final = [2.5, 1.5, 9.0] if supported[0] != "dense" and unsupported != "dense" else [1.5, 2.5]
    timer, form_cache = Script([2.0, 3.0, 1.0], final), dict[str, Choice]()
    runner = Runner(name="limited", prepare=prepare)
    _, choice = choose(conv, X, timer, form_cache, native=False, runner=runner)
    assert timer.calls[0] == 3
    assert sorted(choice.seconds) == supported
    assert choice.form != unsupported
    assert '"runner": "limited"' in next(iter(form_cache))


def test_threads_are_part_of_the_situation() -> None:
    threads = torch.get_num_threads()
    base = situation(convolution(), X, native=False)
    try:
        torch.set_num_threads(threads + 1)
        assert situation(convolution(), X, native=False) != base
    finally:
        torch.set_num_threads(threads)


def test_the_kernels_are_part_of_the_situation(native: Kernels) -> None:
    portable, with_kernels = (situation(convolution(), X, native=one) for one in (False, True))
    assert json.loads(portable)["native"] is False
    found = json.loads(with_kernels)["native"]
    assert found == f"{native.version} {native.instruction_set}, {native.compiler}"


def test_without_kernels_native_forms_have_a_situation_of_their_own(no_kernels: Path) -> None:
    assert json.loads(situation(convolution(), X, native=True))["native"] is None
