"""Augmentation of training images."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from dsx.space.yaml.schema import Augment
from dsx.train.augment import augment, crop, cutout, flip, mixup

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(3, 9), st.integers(3, 9))


def distinct(size: tuple[int, int, int, int]) -> Tensor:
    """Build images with distinct pixels, none of which is 0."""
    count = size[0] * size[1] * size[2] * size[3]
    return torch.arange(1, count + 1, dtype=torch.float32).reshape(size)


@given(SIZES, st.integers(1, 4))
def test_crop_shifts_each_image(size: tuple[int, int, int, int], pad: int) -> None:
    images = distinct(size)
    found = crop(images, pad)
    assert found.shape == images.shape
    rows, columns = size[2:]
    for image, own in zip(images, found, strict=True):
        padded = F.pad(image, (pad,) * 4)
        shifts = [
            padded[:, down : down + rows, right : right + columns]
            for down in range(2 * pad + 1)
            for right in range(2 * pad + 1)
        ]
        assert any(torch.equal(own, shift) for shift in shifts)


def test_crop_shifts_each_image_independently_by_every_amount() -> None:
    # The only non-zero pixel remains inside for every shift.
    images = torch.zeros(4000, 1, 5, 5)
    images[:, :, 2, 2] = 1
    positions = crop(images, 2).flatten(1).argmax(1)
    counts = torch.bincount(positions, minlength=25)
    # The expected count is 160; the bounds are five standard deviations away.
    assert counts.min() > 97 and counts.max() < 223


@given(SIZES)
def test_flip_mirrors_or_keeps_each_image(size: tuple[int, int, int, int]) -> None:
    images = distinct(size)
    for image, own in zip(images, flip(images), strict=True):
        assert torch.equal(own, image) or torch.equal(own, image.flip(2))


@given(SIZES, st.integers(0, 2**31))
def test_flipping_twice_with_the_same_seed_is_the_identity(
    size: tuple[int, int, int, int], seed: int
) -> None:
    images = twice = distinct(size)
    for _ in range(2):
        torch.manual_seed(seed)
        twice = flip(twice)
    assert torch.equal(twice, images)


def test_half_of_the_images_are_flipped() -> None:
    images = torch.tensor([1.0, 2.0]).expand(4000, 1, 1, 2)
    assert float((flip(images)[:, 0, 0, 0] == 2).float().mean()) == pytest.approx(0.5, abs=0.04)


@given(SIZES, st.integers(1, 9))
def test_cutout_clears_a_square_that_may_extend_beyond_the_image(
    size: tuple[int, int, int, int], n: int
) -> None:
    images = distinct(size)
    found = cutout(images, n)
    for image, own in zip(images, found, strict=True):
        cleared = own == 0
        assert torch.equal(own[~cleared], image[~cleared])
        assert torch.equal(cleared, cleared[:1].expand_as(cleared))
        lines = [cleared[0].any(dim) for dim in (1, 0)]
        assert torch.equal(cleared[0], torch.outer(*lines))
        for line in lines:
            inside = torch.nonzero(line).flatten()
            assert 0 < len(inside) <= n
            assert len(inside) == inside[-1] - inside[0] + 1
            # The square is smaller only at the border of the image.
            assert len(inside) == min(n, len(line)) or inside[0] == 0 or line[-1]


def test_cutout_clears_the_whole_square_inside() -> None:
    cleared = cutout(torch.ones(2000, 1, 9, 9), 3)[:, 0] == 0
    inside = ~(cleared[:, [0, -1]].any((1, 2)) | cleared[:, :, [0, -1]].any((1, 2)))
    assert inside.float().mean() == pytest.approx(25 / 81, abs=0.06)
    assert torch.equal(cleared[inside].sum((1, 2)), torch.full((int(inside.sum()),), 9))
    # Each pixel is equally likely to be the centre.
    assert float(cleared[:, 4, 4].float().mean()) == pytest.approx(9 / 81, abs=0.03)


@given(st.integers(1, 8), st.floats(0.05, 5))
def test_mixup_mixes_images_and_labels_with_equal_weights(batch: int, alpha: float) -> None:
    labels = torch.arange(batch)
    images = F.one_hot(labels, batch).double()[:, :, None, None]
    mixed, targets = mixup(images, labels, alpha)
    (first, weight), (second, rest) = targets
    assert torch.equal(first, labels)
    assert torch.equal(second.sort().values, labels)
    assert float(weight) + float(rest) == pytest.approx(1, abs=1e-12)
    assert 0 <= float(weight) <= 1
    # One-hot images become the distribution of the labels.
    expected = sum(weight * F.one_hot(own, batch) for own, weight in targets)
    torch.testing.assert_close(mixed[:, :, 0, 0], expected)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_weights_follow_a_beta_distribution(alpha: float) -> None:
    image, label = torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.int64)
    shares = torch.tensor([float(mixup(image, label, alpha)[1][0][1]) for _ in range(2000)])
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(shares.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.15)


@given(SIZES)
def test_disabled_augmentations_draw_no_random_numbers(
    size: tuple[int, int, int, int],
) -> None:
    images, labels = distinct(size), torch.arange(size[0])
    before = torch.get_rng_state()
    found, targets = augment(images, labels, Augment())
    assert found is images
    assert targets == [(labels, 1.0)]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("key", ["crop", "flip", "cutout", "mixup"])
def test_each_key_enables_its_augmentation(key: str) -> None:
    images, labels = distinct((6, 2, 5, 5)), torch.arange(6)
    settings = Augment.model_validate({key: {"flip": True, "mixup": 0.5}.get(key, 2)})
    alone: dict[str, Callable[[], Tensor]] = {
        "crop": lambda: crop(images, 2),
        "flip": lambda: flip(images),
        "cutout": lambda: cutout(images, 2),
        "mixup": lambda: mixup(images, labels, 0.5)[0],
    }
    torch.manual_seed(7)
    expected = alone[key]()
    torch.manual_seed(7)
    found, targets = augment(images, labels, settings)
    assert torch.equal(found, expected) and not torch.equal(found, images)
    assert len(targets) == (2 if key == "mixup" else 1)


def test_the_given_images_are_unchanged() -> None:
    images, labels = distinct((6, 2, 5, 5)), torch.arange(6)
    augment(images, labels, Augment(crop=2, flip=True, cutout=2, mixup=1.0))
    assert torch.equal(images, distinct((6, 2, 5, 5)))
