"""Params: live parameters, including BN."""

from dsx.conv import ConvSpec
from dsx.measure.metrics.params import METRIC
from tests.measure.candidates import candidate


def test_params_of_the_baseline_equal_those_of_torch() -> None:
    one = candidate()
    assert METRIC.read(one).value == sum(p.numel() for p in one.network.parameters())


def test_dead_weights_are_not_counted() -> None:
    full, cross = candidate(), candidate(specs={"stages.0.conv2": ConvSpec(kernel_shape="cross")})
    # 4 -> 4 channels, 4 of 9 positions are dead.
    assert METRIC.read(full).value - METRIC.read(cross).value == 4 * 4 * 4
