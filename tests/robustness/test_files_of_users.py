"""Files that dsx did not write survive in its folders, and databases that share a folder do too."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open

from dsx import search
from tests.cli.running import dsx
from tests.robustness.damage import seen
from tests.search.postgres import Server, start_server
from tests.search.spaces import ONE, STATIC


def tree(folder: Path) -> dict[str, object]:
    """Describe everything in a folder."""
    return {str(path.relative_to(folder)): seen(path) for path in sorted(folder.rglob("*"))}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with weights of a user, at the path of dsx's own weights."""
    folder = tmp_path / "resnet" / "weights"
    (folder / "0123456789ab.0123abcd.safetensors").mkdir(parents=True)
    (folder / "pretrained.pth").touch()
    (folder / "mine.safetensors").write_bytes(b"mine")
    (folder / "0123456789ab.safetensors").write_bytes(b"of another tool")
    (folder / "old.part").write_bytes(b"mine")
    (folder / "notes.training").write_bytes(b"mine")
    (folder / ".hidden").write_bytes(b"mine")
    (folder / "older").mkdir()
    (folder / "older" / "a.safetensors").write_bytes(b"mine")
    (folder / "link.safetensors").symlink_to("mine.safetensors")
    (folder / "dangling.safetensors").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.safetensors")
    return folder


@pytest.mark.parametrize("space", [ONE, STATIC])
def test_a_search_leaves_the_files_of_a_user(space: Path, weights: Path, tmp_path: Path) -> None:
    before = tree(weights)
    arguments = ("--trials", 4, "--study", "resnet", "--storage", "sqlite:///my.db")
    ended = dsx("search", space, *arguments, folder=tmp_path)
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended
    after = tree(weights)
    assert before.items() <= after.items()
    # Without training, nothing is written.
    assert (after.keys() == before.keys()) is (space is STATIC)


def test_without_training_there_is_no_folder(tmp_path: Path) -> None:
    search(STATIC, trials=2, storage=f"sqlite:///{tmp_path}/dsx.db")
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def check_shared(storages: list[str], folder: Path) -> None:
    """Check that searches of several databases with one folder keep their own weights."""
    kept: dict[str, set[str]] = {}
    for seed, storage in enumerate(storages):
        more = ("--storage", storage, "--trials", 3, "--seed", seed, "--json")
        found = dsx("search", ONE, *more, folder=folder).json
        front = {design["id"] for design in found["designs"] if design["on_front"]}
        kept[storage] = front | {found["baseline"]}
    files = [file for file in folder.rglob("*") if file.suffix == ".safetensors"]
    assert {file.parent for file in files} == {folder / "studies" / "one" / "weights"}
    there: dict[str, set[str]] = {}
    for file in files:
        facts = _facts(file)
        there.setdefault(facts["database"], set()).add(facts["design"])
    assert sorted(map(sorted, there.values())) == sorted(map(sorted, kept.values()))


def _facts(file: Path) -> dict[str, str]:
    with safe_open(file, framework="pt") as opened:
        return dict(opened.metadata())


def test_two_databases_in_one_folder(tmp_path: Path) -> None:
    check_shared(["sqlite:///studies/one.db", "sqlite:///studies/two.db"], tmp_path)


@pytest.fixture
def server() -> Iterator[Server]:
    server = start_server()
    yield server
    server.remove()


@pytest.mark.long
def test_two_databases_of_a_server(server: Server, tmp_path: Path) -> None:
    check_shared([server.create_database() for _ in range(2)], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["studies"]
