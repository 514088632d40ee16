"""Saved findings, which only the same versions reuse."""

import json
from pathlib import Path

import pytest

from dsx.bench import _saved
from dsx.bench._saved import Saved
from dsx.errors import WorkFailed

FINDINGS = {"timm resnet18": {"params": 11_689_512, "untraced": None}}


def saved() -> Saved:
    return Saved("networks")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_saved_findings_are_loaded_until_they_are_removed() -> None:
    assert saved().load() == {}
    saved().save(FINDINGS)
    assert saved().load() == FINDINGS
    saved().remove()
    assert saved().load() == {}


def test_findings_of_other_versions_are_reported_and_not_loaded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    saved().save(FINDINGS)
    assert saved().load() == FINDINGS and not caplog.messages
    monkeypatch.setattr(_saved, "versions", lambda packages: {"torch": "1.0"})
    assert saved().load() == {}
    (message,) = caplog.messages
    assert message == (
        f"{saved().file}: 1 saved findings are discarded, because they were made with another "
        "state of: versions of packages"
    )


def test_findings_of_other_source_code_on_another_device_are_not_loaded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    saved().save(FINDINGS)
    content = json.loads(saved().file.read_bytes())
    content["facts"] |= {"source code of dsx": "0", "device": "0"}
    saved().file.write_text(json.dumps(content))
    assert saved().load() == {}
    (message,) = caplog.messages
    assert message.endswith("another state of: source code of dsx, device")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"facts": 1, "findings": {}}'])
def test_a_damaged_file_is_named(content: str) -> None:
    saved().save(FINDINGS)
    saved().file.write_text(content)
    with pytest.raises(WorkFailed, match=r"networks.json cannot be read \(delete it\)"):
        saved().load()
