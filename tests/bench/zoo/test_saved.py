"""Saved findings, which only the same versions reuse."""

import json
from pathlib import Path

import pytest

from dsx.bench.zoo import saved
from dsx.bench.zoo.saved import Saved
from dsx.errors import WorkFailed

FINDINGS = {"timm resnet18": {"params": 11_689_512, "untraced": None}}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_saved_findings_are_loaded_until_they_are_removed() -> None:
    assert Saved().load() == {}
    Saved().save(FINDINGS)
    assert Saved().load() == FINDINGS
    Saved().remove()
    assert Saved().load() == {}


def test_findings_of_other_versions_are_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    Saved().save(FINDINGS)
    monkeypatch.setattr(saved, "versions", lambda: {"torch": "1.0"})
    assert Saved().load() == {}


def test_findings_of_other_source_code_are_not_loaded() -> None:
    Saved().save(FINDINGS)
    content = json.loads(Saved().file.read_bytes())
    content["facts"]["dsx"] = "0"
    Saved().file.write_text(json.dumps(content))
    assert Saved().load() == {}


def test_a_damaged_file_is_named() -> None:
    Saved().save(FINDINGS)
    Saved().file.write_text("{")
    with pytest.raises(WorkFailed, match=r"networks.json cannot be read \(delete it\)"):
        Saved().load()
