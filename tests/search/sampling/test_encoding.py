"""The parameters of Optuna that encode a design."""

import random
from collections.abc import Mapping

import pytest

from dsx.search.sampling import encoding
from dsx.search.sampling.encoding import is_flat, labels, parameters, sample
from dsx.space import Selector, Value, load_space, shipped_spaces
from dsx.space.options import KEEP_OPTION
from tests.search.spaces import LEARNED, STATIC, TINY

FILES = [LEARNED, STATIC, TINY, *(name for name in shipped_spaces() if name != "mnist5k-resnet")]


def reading(params: Mapping[str, Value]) -> Selector:
    return lambda name, options: params[name]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_each_setting_has_a_name_of_its_own(file: object) -> None:
    for options in load_space(str(file)).slot_options:
        names = labels(options)
        assert len(set(names)) == len(names) == len(options.settings())
        assert names[0] == KEEP_OPTION


@pytest.mark.parametrize("most", [1000, 5])
@pytest.mark.parametrize("file", [LEARNED, STATIC, TINY, "digits"])
def test_the_parameters_of_a_design_sample_it_again(
    file: object, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "MAX_FLAT", most)
    space = load_space(str(file))
    chance = random.Random(0)
    for _ in range(10):
        design = sample(space, lambda name, options: chance.choice(options))
        found = parameters(space, design)
        assert found is not None
        assert sample(space, reading(found)) == design
        if most == 1000:
            assert found.keys() == {options.name for options in space.slot_options}


def test_too_many_settings_are_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    options = load_space(STATIC).slot_options[0]
    assert is_flat(options)
    monkeypatch.setattr(encoding, "MAX_FLAT", len(options.settings()) - 1)
    assert not is_flat(options)


def test_a_design_of_another_space_has_no_parameters() -> None:
    static, tiny = load_space(STATIC), load_space(TINY)
    chance = random.Random(1)
    designs = [sample(static, lambda name, options: chance.choice(options)) for _ in range(20)]
    separable = [each for each in designs if any(spec.separable for spec in each.specs.values())]
    assert separable
    assert parameters(tiny, separable[0]) is None
