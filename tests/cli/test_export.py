"""dsx export: a design as a folder, or one line and no folder."""

import json
from pathlib import Path

import pytest

from tests.cli.running import INTERRUPT, dsx, one_line, start, until


def test_the_knee_is_written_and_described(used: Path, tmp_path: Path) -> None:
    ended = dsx("export", "--pick", "knee", "--out", tmp_path / "chosen", folder=used)
    assert (ended.code, ended.err) == (0, "")
    # The kernels are added if native forms were faster.
    files = sorted({file.name for file in (tmp_path / "chosen").iterdir()} - {"kernels"})
    assert files == ["design.yaml", "manifest.json", "model.py", "weights.safetensors"]
    manifest = json.loads((tmp_path / "chosen" / "manifest.json").read_text())
    knee = dsx("pareto", "--json", folder=used).json["knee"]
    assert manifest["design"] == knee
    assert f"(design {knee})" in ended.out
    assert "verified in a fresh process on 512 images" in ended.out


def test_json_is_the_manifest(used: Path, tmp_path: Path) -> None:
    out = tmp_path / "chosen"
    ended = dsx("export", "static", "--pick", "baseline", "--out", out, "--json", folder=used)
    assert ended.json == json.loads((out / "manifest.json").read_text())
    assert ended.json["schema_version"] == 2
    ended = dsx("export", "--out", out, "--force", "--format", "csv", folder=used)
    assert ended.out.splitlines()[0] == "metric,searched,exported"


def test_a_folder_that_exists_is_kept(used: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    ended = dsx("export", "--out", tmp_path, folder=used)
    refusal = f"--out: '{tmp_path}' exists already (choose another, or replace it: --force)"
    assert one_line(ended, 2) == refusal
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--pick", "kne"], "no design called 'kne' in study 'tiny' (allowed: knee, baseline, "),
        (["--pick", "#99"], "no design called '#99' in study 'tiny'"),
        (["tny"], "no study called 'tny' (allowed: static, tiny)"),
        (["--out", "/dev/null/chosen"], "--out: '/dev/null/chosen' cannot be written: "),
    ],
)
def test_invalid_input_is_one_line(used: Path, arguments: list[str], problem: str) -> None:
    before = sorted(used.iterdir())
    assert one_line(dsx("export", *arguments, folder=used), 2).startswith(problem)
    assert sorted(used.iterdir()) == before


def test_ctrl_c_leaves_nothing_behind(used: Path, tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    staging.mkdir()
    environment = {"TMPDIR": str(staging)}
    running = start("export", "--out", tmp_path / "chosen", folder=used, environment=environment)
    until(lambda: any(staging.glob(".dsx-*")), "the export has started")
    running.signal(INTERRUPT)
    ended = running.wait()
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.startswith("dsx: interrupted. To start again: dsx export ")
    assert ended.err.endswith(f"dsx export --out {tmp_path / 'chosen'}\n")
    assert (list(tmp_path.iterdir()), list(staging.glob(".dsx-*"))) == ([staging], [])
