"""Weight files, which are complete and exist for the baseline and the front only."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from dsx import search
from dsx.errors import StorageError, WorkFailed
from dsx.files.files import open_regular
from dsx.space import load_space
from dsx.store.database.engine import database_id, open_database
from dsx.store.database.schema import MeasurementRow, WeightFileRow
from dsx.store.weights.weights import Weights, study_folder, training_id
from tests.search.looking import rows, weight_files
from tests.search.spaces import ONE, STATIC, TIMED, TINY, varied


def network(value: float = 1.0) -> nn.Module:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, value)
    return layer


def weights_of(storage: str, study: str, training: str = "p") -> Weights:
    return Weights(open_database(storage, create=True), storage, study, training)


def loaded(weights: Weights, design: str) -> float | None:
    state = weights.load(design)
    return None if state is None else float(state["weight"][0, 0])


def files_of(storage: str, study: str = "s") -> list[str]:
    """List the weight files of a study, and check that all of them are recorded."""
    names = sorted(file.name for file in weight_files(storage, study).values())
    assert sorted(row.file for row in rows(storage, WeightFileRow) if row.study == study) == names
    return [name.partition(".")[0] for name in names]


def test_saved_weights_are_loaded(storage: str) -> None:
    weights = weights_of(storage, "s")
    assert weights.load("abc") is None
    weights.save("abc", network())
    state = weights.load("abc")
    assert state is not None
    assert all(
        torch.equal(tensor, state[name])
        for name, tensor in network().state_dict().items()
        if name == "weight"
    )
    assert files_of(storage) == ["abc"]


def test_a_file_describes_its_content(storage: str) -> None:
    weights_of(storage, "s").save("abc", network())
    with safe_open(weight_files(storage, "s")["abc"], framework="pt") as file:
        assert file.metadata() == {
            "design": "abc",
            "training": "p",
            "database": database_id(open_database(storage, create=False)),
        }


def test_weights_of_another_training_are_not_loaded(storage: str) -> None:
    weights_of(storage, "s").save("abc", network())
    for training in ("another", ""):
        other = weights_of(storage, "t", training)
        other.adopt("abc")
        assert other.load("abc") is None
    assert not study_folder(storage, "t").exists()


def test_a_training_is_identified_by_all_trained_metrics() -> None:
    assert training_id({}) == ""
    ids = {
        training_id({"accuracy": "p"}),
        training_id({"accuracy": "q"}),
        training_id({"own:METRIC": "p"}),
        training_id({"accuracy": "p", "own:METRIC": "p"}),
    }
    assert len(ids) == 4
    assert training_id({"a": "p", "b": "q"}) == training_id({"b": "q", "a": "p"})


def test_a_tensor_under_two_names_can_be_saved(storage: str) -> None:
    shared = nn.Linear(2, 2)
    weights = weights_of(storage, "s")
    weights.save("abc", nn.ModuleDict({"one": shared, "two": shared}))
    state = weights.load("abc")
    assert state is not None
    assert torch.equal(state["one.weight"], state["two.weight"])


def test_a_study_adopts_weights_of_another_study(storage: str) -> None:
    other, own = weights_of(storage, "a"), weights_of(storage, "b")
    other.save("abc", network(2.0))
    own.adopt("abc")
    own.adopt("unknown")
    other.prune(set())
    assert (loaded(own, "abc"), loaded(own, "unknown")) == (2.0, None)
    assert (files_of(storage, "a"), files_of(storage, "b")) == ([], ["abc"])


def test_a_file_that_is_deleted_while_it_is_adopted_is_ignored(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = weights_of(storage, "a")
    other.save("abc", network(2.0))

    def too_late(file: Path) -> object:
        monkeypatch.undo()
        other.prune(set())
        return open_regular(file)

    monkeypatch.setattr("dsx.store.weights.files.open_regular", too_late)
    assert weights_of(storage, "b").load("abc") is None


def test_own_weights_take_precedence_over_those_of_other_studies(storage: str) -> None:
    weights_of(storage, "a").save("abc", network(2.0))
    own = weights_of(storage, "b")
    own.save("abc", network(3.0))
    weights_of(storage, "c").save("abc", network(4.0))
    own.adopt("abc")
    assert loaded(own, "abc") == 3.0
    assert files_of(storage, "b") == ["abc"]


def test_newer_weights_replace_older_ones(storage: str) -> None:
    weights = weights_of(storage, "s")
    for value in (1.0, 2.0):
        weights.save("abc", network(value))
        assert loaded(weights, "abc") == value
        assert files_of(storage) == ["abc"]


def test_pruning_keeps_only_the_given_designs(storage: str) -> None:
    weights = weights_of(storage, "s")
    for design in ("abc", "abcd", "b"):
        weights.save(design, network())
    weights_of(storage, "s", "of an earlier training").save("c", network())
    weights.prune({"abc", "c", "gone"})
    assert files_of(storage) == ["abc"]


def test_a_checkpoint_has_one_path_until_it_is_dropped(storage: str) -> None:
    weights = weights_of(storage, "s")
    place = weights.checkpoint("abc")
    assert weights_of(storage, "s").checkpoint("abc") == place
    others = {weights.checkpoint("b"), weights.checkpoint("abc", "other seed")}
    assert len({place, *others}) == 3
    assert not place.parent.exists()
    weights.drop_checkpoint("abc")
    assert weights.checkpoint("abc") != place
    weights.prune({"abc"})
    assert len(rows(storage, WeightFileRow)) == 1


def test_an_unreadable_checkpoint_is_replaced_by_another_file(storage: str) -> None:
    weights = weights_of(storage, "s")
    place = weights.checkpoint("abc")
    weights.renew_checkpoint("abc")
    assert weights.checkpoint("abc") == weights.checkpoint("abc") != place


def test_two_databases_in_one_folder_share_no_weights(tmp_path: Path) -> None:
    one, two = (weights_of(f"sqlite:///{tmp_path}/{name}.db", "s") for name in ("one", "two"))
    for value, weights in enumerate((one, two)):
        weights.save("abc", network(value))
        weights.save("b", network(value))
    one.prune(set())
    assert (loaded(one, "abc"), loaded(two, "abc")) == (None, 1.0)
    two.prune({"abc"})
    assert (loaded(two, "abc"), loaded(two, "b")) == (1.0, None)
    assert len(list((tmp_path / "s" / "weights").iterdir())) == 1


def test_records_of_a_server_are_kept_while_its_files_are_in_another_folder(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_database(storage, create=True)
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    weights = Weights(engine, "postgresql://h/x", "s", "p")
    weights.save("abc", network(2.0))
    (file,) = Path("studies/s/weights").iterdir()
    monkeypatch.chdir(tmp_path / "there")
    assert weights.load("abc") is None
    weights.prune(set())
    monkeypatch.chdir(tmp_path / "here")
    assert loaded(weights, "abc") == 2.0
    weights.prune(set())
    assert not file.exists() and rows(storage, WeightFileRow) == []


def test_a_deleted_folder_of_weights_is_created_again(storage: str, tmp_path: Path) -> None:
    weights = weights_of(storage, "s")
    weights.save("abc", network())
    shutil.rmtree(tmp_path / "s")
    assert weights.load("abc") is None
    weights.prune({"abc"})
    weights.save("abc", network(2.0))
    weights.prune({"abc"})
    assert loaded(weights, "abc") == 2.0
    assert files_of(storage) == ["abc"]


def test_a_folder_that_cannot_be_created_is_an_error(storage: str, tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    with pytest.raises(WorkFailed, match=r"abc\.\w+\.safetensors cannot be written: "):
        weights_of(storage, "s").save("abc", network())


@pytest.mark.parametrize("name", ["tiny", "tiny/weights"])
def test_a_file_at_the_path_of_the_folder_is_rejected_before_training(
    storage: str, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(StorageError, match=f"^'{tmp_path / name}' must be a folder"):
        search(TINY, trials=1, storage=storage)
    assert rows(storage, MeasurementRow) == []
    # Without training, no folder is needed.
    assert len(search(STATIC, study="tiny", trials=1, storage=storage).entries) == 1


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
def test_the_folder_of_a_study_is_next_to_its_database(storage: str, folder: str) -> None:
    assert study_folder(storage, "s") == Path(folder)


def test_a_search_keeps_the_weights_of_the_baseline_and_the_front(storage: str) -> None:
    for trials in (3, 6):
        found = search(ONE, trials=trials, storage=storage)
        kept = found.front_ids | {found.baseline}
        assert len(kept) < len(found.entries)
        assert set(files_of(storage, "one")) == kept


def test_the_kept_weights_are_those_of_the_search(storage: str) -> None:
    found = search(TINY, trials=2, storage=storage)
    space = load_space(TINY)
    fresh = space.network().state_dict()
    kept = load_file(weight_files(storage, "tiny")[found.baseline])
    assert kept.keys() == fresh.keys()
    assert not torch.equal(kept["head.weight"], fresh["head.weight"])


def test_without_training_no_weights_are_kept(storage: str, tmp_path: Path) -> None:
    objectives = "{accuracy: maximize, latency_ms: minimize}"
    space = varied(TIMED, tmp_path, objectives, "{latency_ms: minimize}")
    search(space, trials=1, storage=storage)
    assert not (tmp_path / "timed").exists()
    assert rows(storage, WeightFileRow) == []
