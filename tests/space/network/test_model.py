"""Construction of the network of a space, and errors for networks that cannot be trained."""

import re

import numpy as np
import pytest
import torch

from dsx.errors import DsxError
from dsx.space.network.model import build_model, check_arguments, check_single_image, unwrap_logits
from tests.space import networks

HERE = "tests.space.networks"
SHAPE = (1, 8, 8)


@pytest.mark.parametrize("name", ["small_cnn", f"{HERE}:Tiny", f"{HERE}:Lazy"])
def test_the_seed_determines_the_weights(name: str) -> None:
    generator = torch.get_rng_state()
    first, again, other = (build_model(name, {}, SHAPE, seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("small_cn", {}, "no net called 'small_cn'"),
        ("small_cnn", {"wide": 3}, "no argument of small_cnn called 'wide' (allowed: classes"),
        (f"{HERE}:not_buildable", {}, "arguments: KeyError: 'no\\nsuch thing'"),
        (f"{HERE}:no_module", {}, f"{HERE}:no_module returns a str, not a nn.Module"),
        (
            f"{HERE}:half_precision",
            {},
            "its weight mix.weight is bfloat16, but dsx trains in float32: build it with .float()",
        ),
    ],
)
def test_networks_that_cannot_be_trained_are_rejected(
    name: str, arguments: dict[str, int], problem: str
) -> None:
    with pytest.raises(DsxError, match=re.escape(problem)) as caught:
        build_model(name, arguments, SHAPE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (f"{HERE}:frozen", "has no trainable weights"),
        (f"{HERE}:exits", f"{HERE}:exits cannot be built with these arguments: SystemExit: 2"),
        ("sys:exit", "sys:exit cannot be built with these arguments: SystemExit"),
    ],
)
def test_unusable_models_are_rejected(name: str, problem: str) -> None:
    with pytest.raises(DsxError, match=re.escape(problem)):
        build_model(name, {}, SHAPE)


def test_arguments_and_networks_of_the_user_are_not_modified() -> None:
    widths = [8, 4]
    for _ in range(2):
        network, _ = build_model(f"{HERE}:changes_its_argument", {"widths": widths}, SHAPE)
        assert network.get_parameter("mix.weight").shape[0] == 4
    unwrap_logits(build_model(f"{HERE}:the_same", {}, SHAPE)[0])
    assert not networks.ONE._forward_hooks


def test_arguments_must_be_json_values() -> None:
    check_arguments({"width": 3, "names": ["a", None, True, 0.5]})
    for wrong in ({"a": float("nan")}, {"a": {1, 2}}):
        with pytest.raises(DsxError, match=r"\(allowed: strings, finite numbers, true, false"):
            check_arguments(wrong)


def test_a_network_has_to_run_on_one_image() -> None:
    check_single_image(networks.Tiny().eval(), SHAPE)
    with pytest.raises(DsxError, match="input of 1 x 1 x 8 x 8: ValueError: Expected more than 1"):
        check_single_image(networks.Batched().eval(), SHAPE)
    with pytest.raises(
        DsxError, match="returns 10 for a batch of 1 image, without the batch dimension"
    ):
        check_single_image(networks.Squeezing().eval(), SHAPE)


def test_logits_are_unwrapped_under_the_same_names() -> None:
    network, plain = networks.Wrapped().eval(), networks.Tiny().eval()
    plain.load_state_dict(network.state_dict())
    unwrap_logits(network)
    x = torch.randn(2, *SHAPE)
    assert torch.equal(network(x), plain(x))


def test_arguments_may_be_numpy_numbers() -> None:
    arguments = {"width": np.int64(4)}
    check_arguments(arguments)
    network, _ = build_model("small_cnn", arguments, (1, 8, 8))
    assert repr(network) == repr(build_model("small_cnn", {"width": 4}, (1, 8, 8))[0])
    assert "np.int64" not in repr(build_model("tests.space.networks:Widths", {}, (1, 8, 8))[0])
