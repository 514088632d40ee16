"""Predictions of the class with the largest logit."""

import pytest
import torch
from torch import nn

from dsx.data import TensorSplit
from dsx.train import predict
from dsx.train.prediction import BATCH, device_of
from tests.train.networks import fresh


@pytest.mark.parametrize("images", [1, 7, BATCH, BATCH + 1])
def test_predictions_are_the_largest_logits(images: int) -> None:
    network = fresh().eval()
    x = torch.randn(images, 1, 8, 8)
    with torch.no_grad():
        logits = network(x)
    found = predict(network, TensorSplit(images=x, labels=torch.zeros(images, dtype=torch.int64)))
    assert found.shape == (images,)
    # If two logits are nearly equal, rounding may depend on the batch size.
    top = logits.topk(2).values
    clear = top[:, 0] - top[:, 1] > 1e-5
    assert clear.float().mean() > 0.9
    assert torch.equal(found[clear], logits.argmax(1)[clear])


def test_images_have_the_requested_dtype() -> None:
    split = TensorSplit(images=torch.randn(3, 1, 8, 8), labels=torch.zeros(3, dtype=torch.int64))
    assert predict(fresh().double().eval(), split, torch.float64).shape == (3,)


def test_the_device_is_that_of_the_network() -> None:
    assert device_of(nn.Linear(2, 2, device="meta")).type == "meta"
    assert device_of(nn.ReLU()).type == "cpu"


@pytest.mark.parametrize(("images", "batches"), [(3, 1), (BATCH, 1), (BATCH + 1, 2)])
def test_the_device_is_yielded_after_each_batch(images: int, batches: int) -> None:
    split = TensorSplit(
        images=torch.randn(images, 1, 8, 8), labels=torch.zeros(images, dtype=torch.int64)
    )
    network, calls = fresh().eval(), list[bool]()
    found = predict(
        network, split, yield_device=lambda: calls.append(torch.is_inference_mode_enabled())
    )
    assert len(calls) == batches
    assert torch.equal(found, predict(network, split))
