"""Folders of an export: new, empty, or an unchanged earlier export."""

import errno
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch

from dsx.errors import DsxError, WorkFailed, out_of_memory
from dsx.export.place import atomic_export, check_place, writing_temporary
from dsx.files.ownership import as_text, sealed, sha256
from tests.export import exporting
from tests.export.conftest import Searched

TEMPORARY = rf"the temporary folder \(TMPDIR\): '{re.escape(tempfile.gettempdir())}'"
FILES = {"model.py": b"network", "weights.safetensors": b"numbers"}


def exported(folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    manifest = sealed({"files": {name: sha256(content) for name, content in files.items()}})
    (folder / "manifest.json").write_text(as_text(manifest))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def test_an_earlier_export_may_be_replaced(tmp_path: Path) -> None:
    out = exported(tmp_path / "out")
    check_place(out, force=True)
    # Python writes this file when model.py is imported.
    (out / "__pycache__").mkdir()
    (out / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"")
    with atomic_export(out, force=True) as folder:
        (folder / "new").write_text("new")
    assert (content(out), [entry.name for entry in tmp_path.iterdir()]) == (
        {"new": b"new"},
        ["out"],
    )


def test_compiled_kernels_and_their_bytecode_may_be_replaced(tmp_path: Path) -> None:
    out = exported(
        tmp_path / "out", {**FILES, "kernels/__init__.py": b"", "kernels/source/a.h": b""}
    )
    for name in ("__pycache__/interface.cpython-311.pyc", "libdsx-0123abcd-linux-x86_64.so"):
        (out / "kernels" / name).parent.mkdir(exist_ok=True)
        (out / "kernels" / name).write_bytes(b"")
    check_place(out, force=True)
    with atomic_export(out, force=True) as folder:
        (folder / "kernels" / "source").mkdir(parents=True)
        (folder / "kernels" / "source" / "new.h").write_text("new")
    assert content(out) == {"kernels/source/new.h": b"new"}
    for name in ("kernels/mine.h", "kernels/source/mine/b.h", "kernels/libdsx-mine.so"):
        shutil.rmtree(out)
        exported(out, {**FILES, "kernels/source/a.h": b""})
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")
        named = "kernels/source/mine" if "b.h" in name else name
        with pytest.raises(DsxError, match=rf"'{named}' is not part of an export"):
            check_place(out, force=True)


def add(name: str) -> Callable[[Path], object]:
    def change(out: Path) -> None:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")

    return change


def link_model(out: Path) -> None:
    (out.parent / "elsewhere").write_bytes(FILES["model.py"])
    (out / "model.py").unlink()
    (out / "model.py").symlink_to("../elsewhere")


def edit_manifest(out: Path) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(as_text({**manifest, "notes": "mine"}))


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "an additional file": (add("notes.txt"), "notes.txt"),
    "a hidden file": (add(".env"), ".env"),
    "an additional folder": (add("data/mine"), "data"),
    "a modified file": (add("model.py"), "model.py"),
    "a modified manifest": (edit_manifest, "manifest.json"),
    "a foreign manifest": (add("manifest.json"), "manifest.json"),
    "no manifest": (lambda out: (out / "manifest.json").unlink(), "model.py"),
    "a link": (link_model, "model.py"),
    "a foreign cache": (add("__pycache__/mine.pyc"), "__pycache__"),
    "a database": (add("dsx.db"), "dsx.db"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_folder_with_other_files_is_kept(name: str, tmp_path: Path) -> None:
    change, named = WRONG[name]
    out = exported(tmp_path / "out")
    change(out)
    before = content(out)
    problem = rf"^out: '.*/out' is not replaced: '{named}' is not part of an export"
    with pytest.raises(DsxError, match=problem):
        check_place(out, force=True)
    with pytest.raises(DsxError, match=problem), atomic_export(out, force=True) as folder:
        (folder / "new").write_text("new")
    assert content(out) == before


def test_without_force_nothing_is_replaced(tmp_path: Path) -> None:
    out = exported(tmp_path / "out")
    with pytest.raises(
        DsxError, match=r"exists already \(choose another, or replace it: force=True"
    ):
        check_place(out, force=False)


@pytest.mark.parametrize("force", [False, True])
def test_a_file_or_a_link_is_not_replaced(force: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    exported(tmp_path / "export")
    (tmp_path / "link").symlink_to("export")
    (tmp_path / "dangling").symlink_to("nothing")
    problems = {
        "file": "is a file, not a folder",
        "link": "is a symbolic link",
        "dangling": "is a symbolic link",
    }
    for name, problem in problems.items():
        with pytest.raises(DsxError, match=rf"^out: '.*/{name}' {problem}"):
            check_place(tmp_path / name, force)


def test_a_folder_inside_a_linked_folder_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with atomic_export(tmp_path / "link" / "out", force=False) as folder:
        (folder / "new").write_text("new")
    assert content(tmp_path / "real") == {"out/new": b"new"}


def test_the_current_folder_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "out" / "inner")
    for name in (".", "..", "", str(tmp_path / "out")):
        with pytest.raises(DsxError, match="is or contains the current folder"):
            check_place(Path(name), force=True)


def test_a_failed_export_leaves_no_files(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        atomic_export(tmp_path / "a" / "b", force=False) as folder,
    ):
        (folder / "half").write_text("")
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []
    assert not folder.exists()


def test_a_temporary_folder_that_disappears_is_one_line(tmp_path: Path) -> None:
    problem = rf"^{TEMPORARY} cannot be written: No such file or directory$"
    with (
        pytest.raises(DsxError, match=problem),
        atomic_export(tmp_path / "out", force=False) as folder,
    ):
        shutil.rmtree(folder)
        with writing_temporary():
            (folder / "half").write_text("")
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    problem = r"^the temporary folder \(TMPDIR\): '.*/missing' cannot be written: No such file"
    with pytest.raises(DsxError, match=problem), atomic_export(tmp_path / "out", force=False):
        raise AssertionError("there is no folder")


def test_other_errors_are_not_attributed_to_the_temporary_folder(tmp_path: Path) -> None:
    """Such as the error of a process that cannot be started."""
    failure = OSError(errno.ENOMEM, "Cannot allocate memory")
    raises = pytest.raises(OSError, match="Cannot allocate memory")
    with raises as raised, atomic_export(tmp_path / "out", force=False):
        raise failure
    assert raised.value is failure
    assert out_of_memory(failure) == "out of memory: [Errno 12] Cannot allocate memory"


def test_the_message_contains_no_temporary_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "x"
    problem = rf"^out: '{out}' cannot be written: Not a directory$"
    with pytest.raises(DsxError, match=problem):
        check_place(out, force=False)


def test_a_foreign_file_of_any_size_is_not_read(tmp_path: Path) -> None:
    out = exported(tmp_path / "out")
    with (out / "huge").open("wb") as file:
        file.truncate(2**43)
    with pytest.raises(DsxError, match="'huge' is not part of an export"):
        check_place(out, force=True)


def test_an_earlier_export_is_replaced_if_forced(searched: Searched, out: Path) -> None:
    exporting.export(searched.space, searched.design, out, weights=searched.weights)
    with pytest.raises(DsxError, match=r"^out: '.*chosen' exists already .* force=True\)$"):
        exporting.export(searched.space, searched.design, out, weights=searched.weights)
    exporting.export(
        searched.space, searched.design, out, weights=searched.weights, study="another", force=True
    )
    assert json.loads((out / "manifest.json").read_text())["study"] == "another"
    assert sorted(file.name for file in out.iterdir()) == exporting.FILES
    assert [file.name for file in out.parent.iterdir()] == ["chosen"]


def test_an_empty_folder_is_filled(searched: Searched, out: Path) -> None:
    out.mkdir()
    exporting.export(searched.space, searched.design, out, weights=searched.weights)
    assert sorted(file.name for file in out.iterdir()) == exporting.FILES


def test_a_failed_export_does_not_replace_an_earlier_one(searched: Searched, out: Path) -> None:
    exporting.export(searched.space, searched.design, out, weights=searched.weights)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(WorkFailed, match="differ by"):
        exporting.export(
            searched.space,
            searched.design,
            out,
            weights=searched.weights,
            force=True,
            exporter="tests.export.exporters:tampering",
        )
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert [file.name for file in out.parent.iterdir()] == ["chosen"]


@pytest.mark.long
def test_a_file_that_is_added_during_the_export_is_kept(searched: Searched, out: Path) -> None:
    exporting.export(searched.space, searched.design, out, weights=searched.weights)
    with pytest.raises(DsxError, match="'mine' is not part of an export"):
        exporting.export(
            searched.space,
            searched.design,
            out,
            weights=_Adding(searched.weights, out / "mine"),
            force=True,
        )
    assert sorted(file.name for file in out.iterdir()) == sorted([*exporting.FILES, "mine"])
    assert [file.name for file in out.parent.iterdir()] == ["chosen"]


class _Adding(Mapping[str, torch.Tensor]):
    """Weights that write a file when they are read, as a user might do during an export."""

    def __init__(self, weights: dict[str, torch.Tensor], file: Path) -> None:
        self._weights, self._file = weights, file

    def __getitem__(self, name: str) -> torch.Tensor:
        self._file.write_text("mine")
        return self._weights[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


def test_a_folder_that_cannot_be_written_is_reported(searched: Searched, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DsxError, match=r"^out: '.*/file/chosen' cannot be written: "):
        exporting.export(searched.space, searched.design, tmp_path / "file" / "chosen")
