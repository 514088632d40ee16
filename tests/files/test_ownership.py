"""dsx recognises the files that it wrote, in all formats, and no other files."""

import io
import json
import os
import struct
import zlib
from pathlib import Path

import pytest

from dsx.errors import DsxError
from dsx.files.ownership import (
    as_text,
    check_replaceable,
    digest,
    is_signed,
    is_signed_file,
    read_sealed,
    sealed,
    sha256,
    signed,
    write_own,
)


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    + (chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b""))
)
CONTENTS = {"png": PNG, "svg": b"<svg/>\n", "html": b"<!doctype html>\n<p>x</p>"}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_a_signed_file_is_recognised_until_a_byte_changes(content: bytes, tmp_path: Path) -> None:
    own = signed(content)
    assert is_signed(own) and not is_signed(content)
    (tmp_path / "own").write_bytes(own)
    (tmp_path / "changed").write_bytes(b"x" + own)
    (tmp_path / "unsigned").write_bytes(content)
    assert [is_signed_file(tmp_path / name) for name in ("own", "changed", "unsigned")] == [
        True, False, False,
    ]  # fmt: skip
    for place in range(len(own)):
        changed = own[:place] + bytes([own[place] ^ 1]) + own[place + 1 :]
        assert not is_signed(changed), place
    assert not is_signed(own + b"x") and not is_signed(own[:-1]) and not is_signed(b"")


def test_a_signed_png_is_a_png() -> None:
    from PIL import Image

    with Image.open(io.BytesIO(signed(PNG)), formats=["png"]) as image:
        image.load()
        assert image.size == (1, 1)
        assert image.info["dsx"].startswith("sha256 ")


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: text.replace("1", "2", 1),
        lambda text: text[:-3],
        lambda text: "[" * 100_000,
        lambda text: "[]",
        lambda text: json.dumps({"a": 1}),
    ],
)
def test_a_sealed_document_is_recognised_until_it_changes(changed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "record.json"
    document = {"a": 1.5, "b": ["ü", None, {"c": float("inf")}], "files": {"x": "y"}}
    file.write_text(as_text(sealed(document)), encoding="utf-8")
    found = read_sealed(file)
    assert found is not None and found == sealed(document) and sealed(found) == found
    file.write_text(changed(file.read_text(encoding="utf-8")), encoding="utf-8")
    assert read_sealed(file) is None
    file.unlink()
    assert read_sealed(file) is None


@pytest.mark.parametrize("key", ["files", "replaced"])
@pytest.mark.parametrize("recorded", [["a"], "a", None, 1, {"a": 1}, {"a": ["b"]}])
def test_a_sealed_document_of_another_form_is_not_recognised(
    key: str, recorded: object, tmp_path: Path
) -> None:
    file = tmp_path / "record.json"
    file.write_text(as_text(sealed({key: recorded})), encoding="utf-8")
    assert read_sealed(file) is None


def test_only_regular_files_of_dsx_are_replaced(tmp_path: Path) -> None:
    own = signed(b"<svg/>")
    (tmp_path / "own").write_bytes(own)
    (tmp_path / "user").write_bytes(b"user")
    (tmp_path / "link").symlink_to("own")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("own", "absent"):
        check_replaceable(tmp_path / name, is_signed_file)
    problems = {
        "user": "exists, and dsx did not write it or it was changed since",
        **dict.fromkeys(("link", "dangling", "folder", "pipe"), "exists and is not a regular file"),
    }
    for name, problem in problems.items():
        with pytest.raises(DsxError, match=rf"^'.*/{name}' {problem}"):
            write_own(tmp_path / name, own, is_signed_file)
    assert (tmp_path / "user").read_bytes() == b"user"
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*problems, "own"])


def test_a_foreign_file_of_any_size_is_not_read(tmp_path: Path) -> None:
    for name in ("study.json", "front.svg"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**43)
    assert read_sealed(tmp_path / "study.json") is None
    with pytest.raises(DsxError, match="dsx did not write it"):
        check_replaceable(tmp_path / "front.svg", is_signed_file)


def test_the_hash_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(PNG)
    assert digest(tmp_path / "a") == sha256(PNG)


def test_a_file_that_appears_during_a_write_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.svg"

    def is_own(path: Path) -> bool:
        # Called for the old file first, and again when the new file is complete.
        content = path.read_bytes()
        file.write_bytes(b"user")
        return content == signed(b"old")

    file.write_bytes(signed(b"old"))
    with pytest.raises(DsxError, match="it was changed since"):
        write_own(file, signed(b"new"), is_own)
    assert file.read_bytes() == b"user"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.svg"]
