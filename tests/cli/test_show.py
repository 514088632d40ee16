"""dsx show: one design, from a database and from an archived study."""

from pathlib import Path

import pytest

from tests.cli.running import dsx, one_line


def test_a_design_of_a_study_and_of_its_archive_are_shown_alike(used: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert dsx("archive", "tiny", "--out", kept, folder=used).code == 0
    for name in ("table", "json", "csv"):
        study, archived = (
            dsx("show", source, "--pick", "#1", "--format", name, folder=used)
            for source in ("tiny", kept)
        )
        assert (study.code, study.err) == (0, "")
        assert archived.out == study.out


def test_the_newest_study_and_its_knee_are_the_default(used: Path) -> None:
    document = dsx("show", "--json", folder=used).json
    assert document["study"] == "tiny"
    assert "knee" in document["design"]["roles"]
    assert document["slots"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["tny"], "no study called 'tny'"),
        (["tiny", "--pick", "kne"], "no design called 'kne'"),
        (["./none"], "'none' is not an archived study"),
        (["tiny", "--space", "digits"], "--space: "),
    ],
)
def test_invalid_input_is_one_line(used: Path, arguments: list[str], problem: str) -> None:
    assert one_line(dsx("show", *arguments, folder=used), 2).startswith(problem)
