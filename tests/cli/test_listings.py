"""dsx space, ls and doctor: their output in every format."""

import csv
import io
from pathlib import Path

import pytest

from dsx.space import load_space
from tests.cli.running import dsx, one_line
from tests.search.spaces import STATIC, TINY, varied


def table(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


def test_space_lists_the_slots_of_the_default(tmp_path: Path) -> None:
    document = dsx("space", "--json", folder=tmp_path).json
    space = load_space("digits")
    assert (document["schema_version"], document["space"]) == (2, "digits")
    assert document["size"] == space.size
    assert [row["slot"] for row in document["slots"]] == [s.name for s in space.analysis.slots]
    assert list(tmp_path.iterdir()) == []


def test_space_lists_the_same_slots_as_csv(tmp_path: Path) -> None:
    document = dsx("space", STATIC, "--json", folder=tmp_path).json
    assert table(dsx("space", STATIC, "--format", "csv", folder=tmp_path).out) == [
        {key: str(value) for key, value in row.items()} for row in document["slots"]
    ]


def test_space_reports_whether_constraints_can_be_met(tmp_path: Path) -> None:
    ended = dsx("space", STATIC, folder=tmp_path)
    assert ended.code == 0
    assert "constraint flops <= 50%: can be met" in ended.out
    hopeless = varied(STATIC, tmp_path, "<= 50%", "<= 1%")
    ended = dsx("space", hopeless, folder=tmp_path)
    assert ended.code == 1
    assert "constraint flops <= 1%: no design can meet this: the smallest has 5,024" in ended.out
    document = dsx("space", hopeless, "--json", folder=tmp_path).json
    assert document["unmet"].keys() == {"flops"}


def test_space_checks_what_a_search_checks(tmp_path: Path) -> None:
    space = varied(TINY, tmp_path, "accuracy: maximize", "acuracy: maximize")
    assert "no metric called 'acuracy'" in one_line(dsx("space", space, folder=tmp_path), 2)


def test_ls_lists_the_studies(used: Path) -> None:
    document = dsx("ls", "--json", folder=used).json
    assert (document["schema_version"], document["storage"]) == (2, "sqlite:///studies/dsx.db")
    assert [(row["study"], row["designs"]) for row in document["studies"]] == [
        ("static", 4),
        ("tiny", 4),
    ]
    rows = table(dsx("ls", "--format", "csv", folder=used).out)
    assert rows == [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in document["studies"]
    ]
    header, *lines = dsx("ls", folder=used).out.splitlines()
    assert header.split() == ["study", "space", "designs", "trials", "created", "running"]
    assert [line.split()[0] for line in lines] == ["static", "tiny"]


def test_ls_lists_one_study_and_no_failures_if_there_are_none(used: Path) -> None:
    document = dsx("ls", "tiny", "--json", folder=used).json
    assert [(row["study"], row["failed"]) for row in document["studies"]] == [("tiny", 0)]
    assert document["studies"][0]["failures"] == []
    assert dsx("ls", "--failed", folder=used).out == "no failed trials\n"
    assert dsx("ls", "tiny", "--failed", "--json", folder=used).json["failed"] == []
    for more in ([], ["--failed"]):
        refusal = one_line(dsx("ls", "tinny", *more, folder=used), 2)
        assert refusal == "no study called 'tinny' (allowed: static, tiny). Did you mean 'tiny'?"


@pytest.mark.parametrize("name", ["table", "json", "csv"])
def test_ls_of_an_empty_database_is_empty(tmp_path: Path, name: str) -> None:
    hopeless = varied(STATIC, tmp_path, "<= 50%", "<= 1%")
    assert dsx("search", hopeless, folder=tmp_path).code == 2
    ended = dsx("ls", "--format", name, folder=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    if name == "json":
        assert ended.json["studies"] == []
    else:
        assert ended.out == ("" if name == "csv" else "no studies\n")


def test_ls_creates_no_database(tmp_path: Path) -> None:
    refusal = one_line(dsx("ls", folder=tmp_path), 2)
    assert refusal == "no database at sqlite:///studies/dsx.db; `dsx search` creates one"
    assert list(tmp_path.iterdir()) == []


def test_doctor_describes_the_machine(used: Path) -> None:
    document = dsx("doctor", "--json", folder=used).json
    assert document["schema_version"] == 2
    findings = {row["what"]: row["finding"] for row in document["findings"]}
    assert findings["database"] == "sqlite:///studies/dsx.db, 2 studies"
    lines = dsx("doctor", folder=used).out.splitlines()
    assert [line.partition("  ")[0] for line in lines[1:]][:3] == ["dsx", "processor", "cores"]
    assert len(table(dsx("doctor", "--format", "csv", folder=used).out)) == len(findings)


def test_doctor_states_why_there_are_no_kernels(tmp_path: Path) -> None:
    environment = {"DSX_KERNELS": "/nowhere/x.so"}
    reason = "DSX_KERNELS: no file '/nowhere/x.so'"
    document = dsx("doctor", "--json", folder=tmp_path, environment=environment).json
    assert document["kernels"] == {"reason": reason}
    assert {"what": "kernels", "finding": f"none: {reason}"} in document["findings"]


def test_doctor_hides_passwords(tmp_path: Path) -> None:
    environment = {"DSX_STORAGE": "postgresql://u:s3cret@127.0.0.1:1/x"}
    ended = dsx("doctor", folder=tmp_path, environment=environment)
    assert ended.code == 0
    assert "postgresql://u:***@127.0.0.1:1/x" in ended.out and "s3cret" not in ended.out + ended.err
