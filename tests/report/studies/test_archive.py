"""The archive of a study: all measurements, the front and a page."""

import csv
import json
from pathlib import Path

import pytest

from dsx.analysis.front import Front
from dsx.errors import DsxError
from dsx.report.front.summary import summarised
from dsx.report.studies.archive import NAMES, write_archive
from dsx.report.studies.reader import read_results
from dsx.search.loop import search
from dsx.store.studies.read import front
from tests.search.spaces import STATIC

STUDY = "kept"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    database = f"sqlite:///{tmp_path_factory.mktemp('record')}/dsx.db"
    search(STATIC, study=STUDY, trials=6, storage=database)
    return database


@pytest.fixture
def found(storage: str) -> Front:
    return front(STUDY, storage=storage)


def save(storage: str, study: str, folder: Path) -> list[Path]:
    return write_archive(read_results(study, storage), folder)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as opened:
        return list(csv.DictReader(opened))


def test_the_files_of_an_archive(storage: str, tmp_path: Path) -> None:
    files = save(storage, STUDY, tmp_path / "a" / "b")
    assert sorted(files) == sorted((tmp_path / "a" / "b").iterdir())
    assert {file.name for file in files} == {
        *("space.yaml", "measurements.csv", "study.json", "front.csv", "front.svg", "README.md")
    }


def test_measurements_of_all_designs_are_complete(
    storage: str, found: Front, tmp_path: Path
) -> None:
    save(storage, STUDY, tmp_path)
    written = {
        (row["design"], row["metric"]): (float(row["value"]), int(row["trial"]))
        for row in rows(tmp_path / "measurements.csv")
    }
    assert written == {
        (entry.id, name): (value.value, entry.trial)
        for entry in found.entries
        for name, value in entry.metrics.items()
    }


def test_rejected_designs_are_left_out_of_the_measurements(storage: str, tmp_path: Path) -> None:
    save(storage, STUDY, tmp_path)
    designs = {row["design"] for row in rows(tmp_path / "measurements.csv")}
    assert designs == {entry.id for entry in front(STUDY, storage=storage).entries}


def test_the_front_file_contains_the_front(storage: str, found: Front, tmp_path: Path) -> None:
    save(storage, STUDY, tmp_path)
    assert {row["id"] for row in rows(tmp_path / "front.csv")} == found.front_ids
    document = json.loads((tmp_path / "study.json").read_text())
    assert {row["id"] for row in document["designs"] if row["on_front"]} == found.front_ids


def test_the_page_names_the_machine_and_the_designs_of_the_summary(
    storage: str, found: Front, tmp_path: Path
) -> None:
    save(storage, STUDY, tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert page.startswith(f"# Study {STUDY}\n")
    assert found.conditions["device"] in page
    assert all(f"#{entry.trial}" in page for entry in summarised(found))
    assert "knee" in page
    assert max(len(line) for line in page.split("```")[1].splitlines()) <= 100


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_saving_again_replaces_the_archive_and_keeps_other_files(
    storage: str, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    save(storage, STUDY, tmp_path)
    once = content(tmp_path)
    save(storage, STUDY, tmp_path)
    assert content(tmp_path) == once
    assert once["notes.txt"] == b"mine"


@pytest.mark.parametrize("name", [*NAMES, "study.json"])
def test_a_file_of_the_user_is_named_and_kept(storage: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(
        DsxError, match=rf"^archive folder: '.*/{name}' exists, and dsx did not write it"
    ):
        save(storage, STUDY, tmp_path)
    assert content(tmp_path) == {name: b"mine"}


def test_a_study_replaces_the_archive_of_another_study(storage: str, tmp_path: Path) -> None:
    search(STATIC, study="another", trials=2, storage=storage)
    save(storage, "another", tmp_path)
    save(storage, STUDY, tmp_path)
    assert json.loads((tmp_path / "study.json").read_text())["study"] == STUDY


def test_a_folder_that_cannot_be_written_is_one_line(storage: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    problem = r"^archive folder: '.*file/x' cannot be written: \S[^\n]*$"
    with pytest.raises(DsxError, match=problem):
        save(storage, STUDY, tmp_path / "file" / "x")
