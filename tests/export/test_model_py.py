"""The code of model.py, and its reader of safetensors files."""

import ast
import importlib.util
import json
import tempfile
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from dsx.conv import deploy
from dsx.conv.deploy._choose import candidates
from dsx.conv.modules.learned import LearnedConv2d
from dsx.errors import WorkFailed, printable
from dsx.export.model_py import MODEL, WEIGHTS, write, writing_notes
from dsx.export.packing.contents import read_contents
from dsx.export.verify import fresh_logits, load_exported
from dsx.nets.small_cnn import SmallCnn
from tests.conv.strategies import KINDS, cases, trained
from tests.export.always import Always
from tests.export.networks import Awkward

DTYPES = [
    *(torch.float64, torch.float32, torch.bfloat16, torch.float16),
    *(torch.int64, torch.int32, torch.int8, torch.bool),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    sample = torch.randn(2, 1, 8, 8)
    files = write(deploy(SmallCnn(width=4), sample), sample, "The baseline of small_cnn.", folder)
    assert [file.name for file in files] == [MODEL, WEIGHTS]
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("exported", folder / MODEL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_code_is_readable(folder: Path) -> None:
    text = (folder / MODEL).read_text()
    compile(text, MODEL, "exec")
    assert text.startswith('"""The baseline of small_cnn.\n\nRequires torch only:\n')
    assert "    def forward(self, x: torch.Tensor) -> torch.Tensor:\n" in text
    assert "        self.stem_0 = nn.Conv2d(1, 4, 3, padding=1)\n" in text
    assert "BatchNorm" not in text
    assert "None;" not in text and "= None" not in text
    assert "dsx" not in text
    assert max(map(len, text.splitlines())) <= 120
    assert text.endswith("\n") and not text.endswith("\n\n")


def test_the_loaded_network_is_in_eval_mode_without_gradients(model: ModuleType) -> None:
    network = model.load()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert network(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_weights_may_be_in_another_folder(model: ModuleType, folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes((folder / WEIGHTS).read_bytes())
    images = torch.randn(3, 1, 8, 8)
    assert torch.equal(model.load(str(moved))(images), model.load()(images))


def test_weights_of_another_network_are_refused(model: ModuleType, tmp_path: Path) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load(tmp_path / "other")


@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3), st.booleans())
def test_its_reader_supports_the_files_of_safetensors(
    model: ModuleType,
    tmp_path_factory: pytest.TempPathFactory,
    dtype: torch.dtype,
    shape: list[int],
    metadata: bool,
) -> None:
    file = tmp_path_factory.mktemp("safe") / "file"
    tensors = {"a": torch.randn(2), "b": (torch.randn(shape) * 5).to(dtype)}
    save_file(tensors, file, metadata={"design": "abc"} if metadata else None)
    read = model.read_safetensors(file)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_colliding_names_are_made_unique(tmp_path: Path) -> None:
    sample = torch.randn(2, 1, 8, 8)
    network = Awkward().eval()
    write(deploy(network, sample), sample, "Awkward.", tmp_path)
    text = (tmp_path / MODEL).read_text()
    lines = [line.strip() for line in text.splitlines() if " = nn." in line]
    assert len(lines) == len({line.partition(" = ")[0] for line in lines}) == 5
    header = (tmp_path / WEIGHTS).read_bytes()
    stored = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])
    assert {tuple(entry["shape"]) for name, entry in stored.items() if name != "__metadata__"} >= {
        (4, 1, 3, 3), (4, 4, 3, 3), (4, 4, 1, 1), (1, 4, 1, 1),
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=3)
def test_any_combination_of_dials_is_exported_in_any_form(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(1, 2)))
    module = data.draw(trained(case)).eval()
    with torch.no_grad():
        expected = module(case.x)
    for form in candidates(module, native=False):
        deployed = deploy(nn.Sequential(module), case.x, form_cache=Always(form))
        assert deployed.choices["0"].form == form
        with tempfile.TemporaryDirectory() as folder:
            write(deployed, case.x, "One convolution.", Path(folder))
            torch.testing.assert_close(
                load_exported(Path(folder))(case.x), expected, rtol=0, atol=1e-10
            )
            found = read_contents(deployed.designed, Path(folder) / WEIGHTS)
            cost = module.cost((1, 1))
            assert (found.missing, found.params, found.bits) == ({}, cost.params, cost.bits)
            not_enabled = isinstance(module, LearnedConv2d) and not module.enabled.all()
            # The weights of these convolutions require 64 bits.
            more = {name for name in found.overhead if not name.endswith(", beyond its share")}
            assert more == {"header of the file", *(["0.enabled"] * not_enabled)}


class Hostile(nn.Module):
    """Modules under names that would be code if they were not escaped."""

    def __init__(self) -> None:
        super().__init__()
        names = ["a b", "x; import os", "\u2460", "\u00ff", "__mangled"]
        self.parts = nn.ModuleDict({name: nn.Conv2d(1, 1, 1) for name in names})
        self.register_module("__own", nn.Conv2d(1, 10, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for part in self.parts.values():
            x = part(x)
        out: torch.Tensor = self.get_submodule("__own")(x).mean((2, 3))
        return out


HEADLINES = [
    'ends """\nopen("CANARY", "w")\n"""',
    "ends \\",
    'ends with a quote"',
    "\\N{DIGIT ONE} \\x41 {headline} {0} %s",
    "a\x1b[31m\x00\u202e\ud800b",
]


@pytest.mark.parametrize("headline", HEADLINES)
def test_any_headline_is_escaped(
    headline: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sample = torch.randn(2, 1, 8, 8)
    write(deploy(SmallCnn(width=4), sample), sample, headline, tmp_path)
    hostile, plain = (ast.parse((each / MODEL).read_text()) for each in (tmp_path, folder))
    # Except for the docstring, the file is the same for every headline.
    first = ast.get_docstring(hostile, clean=False)
    assert first is not None and first.startswith(" ".join(printable_words(headline)))
    assert list(map(ast.dump, hostile.body[1:])) == list(map(ast.dump, plain.body[1:]))
    load_exported(tmp_path)
    assert not (tmp_path / "CANARY").exists()


def printable_words(headline: str) -> list[str]:
    return printable(" ".join(headline.split())).split()


def test_any_name_of_a_module_becomes_an_identifier(tmp_path: Path) -> None:
    sample = torch.randn(2, 1, 4, 4)
    network = Hostile().eval()
    deployed = deploy(network, sample)
    write(deployed, sample, "Hostile.", tmp_path)
    tree = ast.parse((tmp_path / MODEL).read_text())
    imports = {ast.unparse(each) for each in ast.walk(tree) if isinstance(each, ast.Import)}
    assert imports == {"import json", "import math", "import torch"}
    assert not any(isinstance(each, ast.Name) and each.id == "os" for each in ast.walk(tree))
    torch.testing.assert_close(load_exported(tmp_path)(sample), network(sample))


@torch.fx.wrap
def stochastic_depth(x: Tensor, p: float, mode: str, training: bool) -> Tensor:
    """Return the input in eval mode, like the function of torchvision that is not traced."""
    return x * torch.rand(1) if training and p and mode else x


@torch.fx.wrap
def halved(x: Tensor) -> Tensor:
    """Compute a result in a function that is not traced."""
    return x / 2


class Wrapping(nn.Module):
    """Calls functions that are not part of torch."""

    def __init__(self, *, needed: bool) -> None:
        super().__init__()
        self.conv, self.needed = nn.Conv2d(1, 4, 3), needed

    def forward(self, x: Tensor) -> Tensor:
        x = stochastic_depth(self.conv(x), 0.5, "row", self.training)
        return halved(x) if self.needed else x


def test_functions_without_effect_in_eval_mode_are_removed(tmp_path: Path) -> None:
    sample = torch.randn(2, 1, 8, 8)
    network = Wrapping(needed=False).eval()
    write(deploy(network, sample), sample, "Wrapping.", tmp_path)
    text = (tmp_path / MODEL).read_text()
    assert "stochastic_depth" not in text
    torch.testing.assert_close(fresh_logits(tmp_path, {"x": sample})["x"], network(sample))


def test_functions_of_other_packages_are_refused(tmp_path: Path) -> None:
    sample = torch.randn(2, 1, 8, 8)
    network = deploy(Wrapping(needed=True), sample)
    problem = r"may require torch only, but the network calls tests\.export\..*halved"
    with pytest.raises(WorkFailed, match=problem):
        write(network, sample, "Wrapping.", tmp_path)


class Sized(nn.Module):
    """Pads depending on the size of its images, and returns logits that are not contiguous."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        sides = [side % 2 for side in x.shape[:1:-1]]
        x = nn.functional.pad(x, [0, sides[0], 0, sides[1]]) if sum(sides) else x
        out: Tensor = self.norm(self.conv(x)).mean(3).transpose(1, 2)
        return out


def test_a_network_that_reads_the_size_of_its_images_is_written_for_that_size(
    tmp_path: Path,
) -> None:
    network, images = Sized().eval(), torch.randn(3, 1, 8, 7)
    deployed = deploy(network, images[:1])
    assert (deployed.folded, deployed.unfolded, deployed.sized) == (1, 0, True)
    write(deployed, images[:1], "Sized.", tmp_path)
    text = (tmp_path / MODEL).read_text()
    assert "# 1, 1, 8, 7, for images of this size only\n" in text
    torch.testing.assert_close(fresh_logits(tmp_path, {"x": images})["x"], network(images))
    problem = r"^each image must have the shape \(1, 8, 7\), not \(1, 7, 7\)$"
    with pytest.raises(ValueError, match=problem):
        load_exported(tmp_path)(torch.zeros(2, 1, 7, 7))


def test_a_network_for_images_of_any_size_does_not_mention_a_size(folder: Path) -> None:
    assert "size" not in (folder / MODEL).read_text()


def test_a_convolution_with_wrong_attributes_is_written_with_the_sizes_of_its_weight(
    tmp_path: Path,
) -> None:
    grey, grouped = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=2)
    grey.weight = nn.Parameter(grey.weight[:, :1].clone())
    grouped.out_channels = 24
    network, images = (
        nn.Sequential(grey, nn.BatchNorm2d(4), grouped).eval(),
        torch.randn(2, 1, 8, 8),
    )
    assert writing_notes(network, (1, 8, 8)) == ()
    write(deploy(network, images), images, "Grey.", tmp_path)
    assert " = nn.Conv2d(1, 4, 3)\n" in (tmp_path / MODEL).read_text()
    torch.testing.assert_close(load_exported(tmp_path)(images), network(images))
    assert (grey.in_channels, grouped.out_channels) == (3, 24)
