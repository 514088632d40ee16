"""The parameters of Optuna that encode a design."""

import random
from collections.abc import Mapping

import optuna
import pytest

from dsx import search
from dsx.search.sampling import encoding
from dsx.search.sampling.encoding import (
    KEEP_SHARE,
    first_branches,
    is_flat,
    labels,
    parameters,
    sample,
)
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


def test_few_slots_of_a_tree_are_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    space = load_space(STATIC)
    chance = random.Random(0)
    assert first_branches(space, chance) == {}
    monkeypatch.setattr(encoding, "MAX_FLAT", 2)
    drawn = [first_branches(space, chance) for _ in range(500)]
    assert drawn[0].keys() == {f"{options.name}/redesign" for options in space.slot_options}
    options = [option for each in drawn for option in each.values()]
    assert set(options) == {"keep", "dials"}
    assert options.count("keep") / len(options) == pytest.approx(KEEP_SHARE, abs=0.03)


def test_a_search_starts_with_these_branches(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "MAX_FLAT", 2)
    monkeypatch.setattr(encoding, "KEEP_SHARE", 0.0)
    search(STATIC, trials=4, storage=storage, sampler="tpe")
    study = optuna.load_study(study_name="static", storage=storage)
    first, *others = study.trials
    branches = {name for name in first.params if name.endswith("/redesign")}
    assert {first.params[name] for name in branches} == {"keep"}
    assert {trial.params[name] for trial in others for name in branches} == {"dials"}


def test_a_design_of_another_space_has_no_parameters() -> None:
    static, tiny = load_space(STATIC), load_space(TINY)
    chance = random.Random(1)
    designs = [sample(static, lambda name, options: chance.choice(options)) for _ in range(20)]
    separable = [each for each in designs if any(spec.separable for spec in each.specs.values())]
    assert separable
    assert parameters(tiny, separable[0]) is None
