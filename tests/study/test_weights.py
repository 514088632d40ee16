"""The weight files: whole or not at all, for the baseline and the front only."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import dsx.study.weights
from dsx import search
from dsx.errors import WorkFailed
from dsx.space import load_space
from dsx.study.weights import PARTIAL, Weights, study_folder
from tests.study.spaces import ONE, TIMED, TINY, varied


def network(value: float = 1.0) -> nn.Module:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, value)
    return layer


def loaded(weights: Weights, design: str) -> float | None:
    state = weights.load(design)
    return None if state is None else float(state["weight"][0, 0])


def test_what_was_saved_is_loaded(storage: str) -> None:
    weights = Weights(storage, "s", "p")
    assert weights.load("abc") is None
    weights.save("abc", network())
    state = weights.load("abc")
    assert state is not None
    assert all(
        torch.equal(tensor, state[name])
        for name, tensor in network().state_dict().items()
        if name == "weight"
    )
    assert [file.name for file in weights.folder.iterdir()] == ["abc.safetensors"]


def test_weights_that_were_trained_otherwise_are_not_these(storage: str) -> None:
    Weights(storage, "s", "p").save("abc", network())
    assert Weights(storage, "s", "another").load("abc") is None


def test_a_tensor_under_two_names_can_be_saved(storage: str) -> None:
    shared = nn.Linear(2, 2)
    weights = Weights(storage, "s", "p")
    weights.save("abc", nn.ModuleDict({"one": shared, "two": shared}))
    state = weights.load("abc")
    assert state is not None
    assert torch.equal(state["one.weight"], state["two.weight"])


def test_a_study_adopts_from_its_neighbour(storage: str) -> None:
    theirs, mine = Weights(storage, "a", "p"), Weights(storage, "b", "p")
    theirs.save("abc", network(2.0))
    mine.adopt("abc")
    mine.adopt("unknown")
    theirs.keep_only(set())
    assert (loaded(mine, "abc"), loaded(mine, "unknown")) == (2.0, None)
    assert [file.name for file in mine.folder.iterdir()] == ["abc.safetensors"]


@pytest.mark.parametrize("step", ["safe_open", "load_file"])
def test_a_file_that_its_study_drops_meanwhile_is_not_there(
    storage: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    theirs = Weights(storage, "a", "p")
    theirs.save("abc", network(2.0))
    read = getattr(dsx.study.weights, step)

    def too_late(file: Path, *args: object, **options: object) -> object:
        theirs.keep_only(set())
        return read(file, *args, **options)

    monkeypatch.setattr(dsx.study.weights, step, too_late)
    assert Weights(storage, "b", "p").load("abc") is None


def test_its_own_come_before_its_neighbours(storage: str) -> None:
    Weights(storage, "a", "p").save("abc", network(2.0))
    mine = Weights(storage, "b", "p")
    mine.save("abc", network(3.0))
    mine.adopt("abc")
    assert loaded(mine, "abc") == 3.0


def test_all_but_the_named_are_dropped(storage: str) -> None:
    weights = Weights(storage, "s", "p")
    for design in ("abc", "abcd", "b"):
        weights.save(design, network())
    # A process that was killed while it wrote.
    weights.path("abc").with_suffix(PARTIAL).touch()
    weights.keep_only({"abc", "gone"})
    assert [file.name for file in weights.folder.iterdir()] == ["abc.safetensors"]


def test_a_folder_that_cannot_be_made_is_said(storage: str, tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    with pytest.raises(WorkFailed, match=r"abc\.safetensors cannot be written: "):
        Weights(storage, "s", "p").save("abc", network())


@pytest.mark.parametrize(
    ("storage", "folder"),
    [
        ("sqlite:///studies/dsx.db", "studies/s"),
        ("sqlite:////a/b.db", "/a/s"),
        ("sqlite:///b.db", "s"),
        ("postgresql://h/x", "studies/s"),
        ("sqlite://", "studies/s"),
    ],
)
def test_a_study_s_folder_lies_beside_its_database(storage: str, folder: str) -> None:
    assert study_folder(storage, "s") == Path(folder)


def test_a_search_keeps_the_weights_of_the_baseline_and_the_front(
    storage: str, tmp_path: Path
) -> None:
    for trials in (3, 6):
        found = search(ONE, trials=trials, storage=storage)
        kept = found.front_ids | {found.baseline}
        assert len(kept) < len(found.entries)
        files = {file.name for file in (tmp_path / "one" / "weights").iterdir()}
        assert files == {f"{design}.safetensors" for design in kept}


def test_they_are_those_that_the_search_trained(storage: str, tmp_path: Path) -> None:
    found = search(TINY, trials=2, storage=storage)
    space = load_space(TINY)
    fresh = space.network().state_dict()
    kept = load_file(tmp_path / "tiny" / "weights" / f"{found.baseline}.safetensors")
    assert kept.keys() == fresh.keys()
    assert not torch.equal(kept["head.weight"], fresh["head.weight"])


def test_where_nothing_is_trained_nothing_is_kept(storage: str, tmp_path: Path) -> None:
    objectives = "{accuracy: maximize, latency_ms: minimize}"
    space = varied(TIMED, tmp_path, objectives, "{latency_ms: minimize}")
    search(space, trials=1, storage=storage)
    assert not (tmp_path / "timed").exists()
