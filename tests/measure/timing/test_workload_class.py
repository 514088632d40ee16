"""Workload classes: fine or coarse grained, and the same for all designs of a space."""

import pytest

from dsx.measure.timing.workload_class import COARSE, classify_workload
from dsx.space import load_space
from dsx.space.measure_settings import with_measure_settings


@pytest.mark.parametrize(
    ("space", "grain"),
    [
        ("digits", "fine"),
        ("cifar10-mobilenet", "fine"),
        ("imagenet-mobilenetv2", "fine"),
        ("mnist5k-resnet", "coarse"),
        ("cifar10-resnet18", "coarse"),
        ("cifar10-vgg16", "coarse"),
        ("imagenet-resnet50", "coarse"),
    ],
)
def test_grain_of_shipped_spaces(space: str, grain: str) -> None:
    assert classify_workload(load_space(space)).grain == grain


def test_larger_batch_is_coarser() -> None:
    digits = load_space("digits")
    per_image = digits.cost(digits.baseline).flops / len(digits.analysis.slots)
    least = int(COARSE / per_image) + 1
    assert classify_workload(with_measure_settings(digits, batch=least - 1)).grain == "fine"
    assert classify_workload(with_measure_settings(digits, batch=least)).grain == "coarse"


def test_run_settings_change_the_workload_class() -> None:
    digits = load_space("digits")
    others = [
        with_measure_settings(digits, **settings)
        for settings in ({"batch": 1}, {"dtype": "float64"}, {"channels_last": True})
    ]
    names = {classify_workload(space).network for space in (digits, *others)}
    assert len(names) == 4
    # Backend, clock and threads belong to the situation of the reference workload.
    assert classify_workload(
        with_measure_settings(digits, threads=2, backend="compile")
    ) == classify_workload(digits)
