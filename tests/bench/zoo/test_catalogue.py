"""The catalogue: enough architectures, each of them once, with plausible published numbers."""

from collections import Counter

import pytest

from dsx.bench.zoo.catalogue import ZOO, Architecture


def test_there_are_at_least_sixty_architectures_of_three_libraries() -> None:
    assert len(ZOO) >= 60
    libraries = Counter(each.library for each in ZOO)
    assert libraries.keys() == {"timm", "torchvision", "transformers"}
    assert min(libraries.values()) >= 10


def test_labels_are_unique() -> None:
    assert len({each.label for each in ZOO}) == len(ZOO)


def test_some_networks_are_searched() -> None:
    assert {each.library for each in ZOO if each.search} == {each.library for each in ZOO}


TIMM = [each for each in ZOO if each.library == "timm"]


@pytest.mark.parametrize("architecture", TIMM, ids=lambda each: each.name)
def test_published_numbers_of_timm_are_plausible(architecture: Architecture) -> None:
    published = architecture.published
    assert published is not None
    assert 1e6 < published.params < 1e8
    assert 2e7 < published.flops < 1e10
    assert 96 <= published.side <= 299
