"""Ways to damage a file in place, by a faulty disk, a user or an attacker."""

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path], object]


def content(change: Callable[[bytes], bytes]) -> Damage:
    """Replace the content of a file by a function of it."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


def other(create: Callable[[Path], object]) -> Damage:
    """Replace a file by something that is not a regular file."""

    def replace(path: Path) -> None:
        path.unlink()
        create(path)

    return replace


def flipped(place: Callable[[bytes], int], bit: int = 0) -> Damage:
    """Flip a bit of the byte at a relative position."""

    def flip(old: bytes) -> bytes:
        new = bytearray(old)
        new[place(old)] ^= 1 << bit
        return bytes(new)

    return content(flip)


def header(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change the JSON header of a safetensors file; the result is self-consistent."""

    def rewrite(old: bytes) -> bytes:
        end = _data(old)
        facts = json.loads(old[8:end])
        change(facts)
        new = json.dumps(facts).encode()
        return struct.pack("<Q", len(new)) + new + old[end:]

    return content(rewrite)


def _data(safetensors: bytes) -> int:
    """Return the offset of the data of a safetensors file."""
    return 8 + int(struct.unpack("<Q", safetensors[:8])[0])


def _other_shape(facts: dict[str, Any]) -> None:
    for tensor in (facts[name] for name in facts if name != "__metadata__"):
        tensor["shape"] = [1, *tensor["shape"]]


def _bomb(old: bytes) -> bytes:
    nested = b'{"a":' + b"[" * 100_000
    return struct.pack("<Q", len(nested)) + nested


ANY: dict[str, Damage] = {
    "empty": content(lambda old: b""),
    "one byte": content(lambda old: old[:1]),
    "cut in its first bytes": content(lambda old: old[:20]),
    "cut in the middle": content(lambda old: old[: len(old) // 2]),
    "cut by one byte": content(lambda old: old[:-1]),
    "random bytes": content(lambda old: random.Random(0).randbytes(len(old))),
    "zeros": content(lambda old: bytes(len(old))),
    "text": content(lambda old: "Liebe Grüße\n".encode() * 20),
    "folder": other(Path.mkdir),
    "dangling link": other(lambda path: path.symlink_to("nowhere")),
    "link to itself": other(lambda path: path.symlink_to(path.name)),
    "pipe": other(os.mkfifo),
    "endless device": other(lambda path: path.symlink_to("/dev/zero")),
}
"""Damages that are possible for any file."""

HEADER: dict[str, Damage] = {
    "flipped bit in the length of the header": flipped(lambda old: 2),
    "flipped bit in a name": flipped(lambda old: old.index(b"weight")),
    "header as long as memory": content(lambda old: struct.pack("<Q", 2**62) + old[8:]),
    "header longer than the file": content(lambda old: struct.pack("<Q", len(old)) + old[8:]),
    "nested header": content(_bomb),
    "other shapes": header(_other_shape),
    "offsets behind the end": header(lambda facts: _shift(facts, 10**9)),
}
"""Further damages of a safetensors file, which then does not fit this network."""

UNSEEN: dict[str, Damage] = {
    "longer": content(lambda old: old + b"\0"),
    "flipped bit in the data": flipped(lambda old: len(old) - 2, bit=7),
    "other design in the header": header(lambda facts: _relabel(facts, "design")),
    "other training in the header": header(lambda facts: _relabel(facts, "training")),
    "other database in the header": header(lambda facts: _relabel(facts, "database")),
    "no metadata": header(lambda facts: facts.pop("__metadata__")),
}
"""Damages of a safetensors file that only its checksum reveals."""


def _shift(facts: dict[str, Any], distance: int) -> None:
    for name in facts:
        if name != "__metadata__":
            facts[name]["data_offsets"] = [at + distance for at in facts[name]["data_offsets"]]


def _relabel(facts: dict[str, Any], key: str) -> None:
    facts["__metadata__"][key] = "0123456789ab"


def seen(path: Path) -> object:
    """Describe the file at a path, so that any change is visible."""
    if path.is_symlink():
        return path.readlink()
    return path.read_bytes() if path.is_file() else path.lstat().st_mode
