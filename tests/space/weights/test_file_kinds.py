"""The format of a weight file is detected from its content, not from its name."""

import gzip
import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dsx.errors import DsxError
from dsx.space.weights.pretrained import read_weights
from tests.space.networks import Tiny

STATE = {name: tensor.detach() for name, tensor in Tiny().state_dict().items()}


def cut(path: Path) -> None:
    """Write the first half of a weight file."""
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scripted(path: Path) -> None:
    """Write a TorchScript archive, which is deprecated in newer versions of torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(nn.Linear(2, 2)).save(str(path))  # type: ignore[no-untyped-call]


def zipped(path: Path, name: str = "a/b.txt") -> None:
    """Write a zip archive with another content."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "text")


def tarred(path: Path) -> None:
    """Write a tar archive that contains a state dict."""
    torch.save(STATE, path.with_suffix(".pt"))
    with tarfile.open(path, "w") as archive:
        archive.add(path.with_suffix(".pt"), "w.pt")


MISNAMED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "text": (
        "w.pth", lambda path: path.write_text("hello\n"),
        "is a text file, not a state dict; it begins with 'hello'",
    ),
    "text that looks like a pickle": (
        "w.pth", lambda path: path.write_text("e" * 5000),
        f"is a text file, not a state dict; it begins with '{'e' * 60}...'",
    ),
    "web page": (
        "w.safetensors", lambda path: path.write_text("<!DOCTYPE html>\n<html>\n404 é</html>"),
        "is a text file, not a state dict; it begins with '<!DOCTYPE html> <html> 404 é</html>'",
    ),
    "TorchScript": (
        "w.pt", scripted,
        "is a TorchScript archive, which contains code: save only its weights "
        "(torch.save(torch.jit.load('",
    ),
    "zip": ("w.pt", zipped, "is a zip archive that torch.save did not write"),
    "program": (
        "w.pt", lambda path: zipped(path, "w/models/model.json"),
        "is a program of torch.export, which contains code: save only its weights",
    ),
    "tar": ("w.tar", tarred, "is not a state dict, but a tar archive: unpack it first"),
    "gzip": (
        "w.pt", lambda path: path.write_bytes(gzip.compress(b"a")),
        "is not a state dict, but compressed by gzip: decompress it first",
    ),
    "half": ("w.pt", cut, "is damaged: it begins like a file of torch.save, but its end is"),
    "number": (
        "w.pt", lambda path: path.write_bytes(b"h\xff\0" * 9),
        "is damaged, or was not written by torch.save",
    ),
}  # fmt: skip


@pytest.mark.parametrize("content", MISNAMED)
def test_other_file_formats_are_named(content: str, tmp_path: Path) -> None:
    name, write, problem = MISNAMED[content]
    write(tmp_path / name)
    start = f"^{re.escape(f'{tmp_path / name}: {problem}')}"
    with pytest.raises(DsxError, match=start) as caught:
        read_weights(str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert not re.search(r": \d+$", str(caught.value))


def test_the_advice_for_torchscript_works(tmp_path: Path) -> None:
    scripted(tmp_path / "w.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        network = torch.jit.load(str(tmp_path / "w.pt"))  # type: ignore[no-untyped-call]
        torch.save(network.state_dict(), tmp_path / "w.pth")
    assert list(read_weights(str(tmp_path / "w.pth"))) == ["weight", "bias"]


@pytest.mark.parametrize("zipped", [True, False])
def test_the_format_is_detected_from_the_content(zipped: bool, tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.pth")
    torch.save(STATE, tmp_path / "w.safetensors", _use_new_zipfile_serialization=zipped)
    for name in ("w.pth", "w.safetensors"):
        state = read_weights(str(tmp_path / name))
        assert all(torch.equal(state[key], tensor) for key, tensor in STATE.items())
