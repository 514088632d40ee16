"""Archived studies: what is written is read back, and what was changed is refused."""

import dataclasses
import json
from pathlib import Path

import pytest

from dsx.errors import DsxError
from dsx.files import as_text, sealed
from dsx.report.front.rows import as_csv, document
from dsx.report.studies.archive import write_archive
from dsx.report.studies.reader import load_archive, read_pareto, read_results
from dsx.search.loop import search
from dsx.store.studies.results import StudyResults
from tests.search.spaces import TIMED

DIGITS = Path(__file__).parents[3] / "studies" / "digits"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    database = f"sqlite:///{tmp_path_factory.mktemp('archived')}/dsx.db"
    search(TIMED, study="timed", trials=4, storage=database)
    return database


@pytest.fixture(scope="module")
def results(storage: str) -> StudyResults:
    return read_results("timed", storage)


@pytest.fixture
def folder(results: StudyResults, tmp_path: Path) -> Path:
    write_archive(results, tmp_path / "kept")
    return tmp_path / "kept"


def test_a_study_survives_the_round_trip(results: StudyResults, folder: Path) -> None:
    found = load_archive(folder)
    assert document(found.front) == document(results.front)
    assert as_csv(found.front) == as_csv(results.front)
    assert found.front.entries == results.front.entries
    assert found.space_text == results.space_text
    # Times are archived in whole seconds.
    assert found.measurements == tuple(
        dataclasses.replace(each, measured_at=each.measured_at.replace(microsecond=0))
        for each in results.measurements
        if each.measured_at is not None
    )


def test_designs_share_their_measurements_as_in_the_database(
    results: StudyResults, folder: Path
) -> None:
    stored, found = (
        [[metrics.rests_on for metrics in entry.metrics.values()] for entry in front.entries]
        for front in (results.front, load_archive(folder).front)
    )
    assert found == stored
    assert all(numbers for entry in found for numbers in entry)


def test_an_archive_is_the_same_when_written_again(folder: Path, tmp_path: Path) -> None:
    write_archive(load_archive(folder), tmp_path / "again")
    for file in folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_a_path_with_a_slash_is_a_folder(storage: str, folder: Path) -> None:
    stored, found = read_pareto("timed", storage, proxies=True)
    archived, read = read_pareto(str(folder), "sqlite:///none.db", proxies=True)
    assert document(stored) == document(archived)
    assert found is not None and read is not None and found.proxies == read.proxies
    assert read_pareto("timed", storage)[1] is None


def test_the_archived_front_is_the_one_that_is_computed() -> None:
    front = load_archive(DIGITS).front
    stored = json.loads((DIGITS / "study.json").read_text())
    assert front.hypervolume == stored["hypervolume"]
    assert front.knee.id == stored["knee"]
    for design in stored["designs"]:
        assert front.membership[design["id"]] == design["membership"]
        assert (design["id"] in front.front_ids) == design["on_front"]


@pytest.mark.parametrize("name", ["study.json", "measurements.csv", "space.yaml"])
def test_a_changed_file_is_refused(folder: Path, name: str) -> None:
    with (folder / name).open("a") as opened:
        opened.write("\n")
    (folder / name).write_text((folder / name).read_text().replace("1", "2"))
    with pytest.raises(DsxError, match=rf"{name}' was changed"):
        load_archive(folder)


def test_a_folder_without_an_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DsxError, match=r"not an archived study.*study\.json"):
        load_archive(tmp_path / "nothing")


def test_another_version_is_refused(folder: Path) -> None:
    changed = {**json.loads((folder / "study.json").read_text()), "schema_version": 2}
    (folder / "study.json").write_text(as_text(sealed(changed)))
    with pytest.raises(DsxError, match=r"schema_version is 2 \(this version reads 4\)"):
        load_archive(folder)


def test_a_record_without_its_designs_is_damaged(folder: Path) -> None:
    changed = json.loads((folder / "study.json").read_text())
    del changed["designs"]
    (folder / "study.json").write_text(as_text(sealed(changed)))
    with pytest.raises(DsxError, match=r"damaged.*designs"):
        load_archive(folder)
