"""Bundled spaces: each is valid, documented and can be searched."""

import re
from pathlib import Path

import pytest

from dsx import search
from dsx.report.space.space import print_space
from dsx.search.plan import find_metrics, unmet_constraints
from dsx.space import SearchSpace, load_space, shipped_spaces
from dsx.space.space import build_space
from tests.data.writers import write_cifar

SPACES = shipped_spaces()
SEARCHED = [
    pytest.param("cifar10-mobilenet", marks=pytest.mark.long),
    pytest.param("cifar10-resnet18", marks=pytest.mark.long),
    pytest.param("cifar10-vgg16", marks=pytest.mark.long),
    "dsxplore-vgg11",
]
"""Spaces that are searched; each takes half a minute."""
PAGE = (Path(__file__).parent.parent / "docs" / "spaces.md").read_text()


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_shown_without_its_data(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    space = load_space(name)
    assert space.size > 10
    assert "accuracy" in find_metrics(space)
    assert unmet_constraints(space) == {}
    print_space(space, {}, "table")
    out = capsys.readouterr().out
    assert out.startswith(f"{name}: {space.file.model} on {space.file.data}, ")
    assert max(map(len, out.splitlines()[: len(space.analysis.slots) + 2])) <= 80
    # No option is excluded for all slots.
    assert "left out" not in out


@pytest.mark.parametrize("name", SPACES)
def test_a_space_states_its_purpose_and_duration(name: str) -> None:
    comment, _, _ = SPACES[name].read_text().partition("model: ")
    assert comment.startswith("# ")
    assert re.search(r"\b(minutes?|hours?|seconds?)\b", comment)
    assert "(times follow)" not in comment


def test_the_page_about_spaces_lists_every_space() -> None:
    table = PAGE[PAGE.index("| space | redesigns |") :].split("\n\n")[0]
    named = set()
    for cell in re.findall(r"^\| (.+?) \|", table, re.MULTILINE):
        words = re.findall(r"`(.+?)`", cell)
        stem = words[0].rpartition("-")[0] if words else ""
        named |= {f"{stem}{word}" if word.startswith("-") else word for word in words}
    assert named == set(SPACES)


def small(name: str, root: Path) -> SearchSpace:
    """Return a bundled space with little data and a short training."""
    text = SPACES[name].read_text()
    data = f"data: cifar10\ndata_args: {{root: {root}, validation: 40}}"
    text = text.replace("data: cifar10", data, 1)
    text = re.sub(r"epochs: \d+", "epochs: 1", text)
    text = re.sub(r"batch_size: \d+", "batch_size: 40", text)
    return build_space(name, f"{name}.yaml", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHED)
def test_a_space_for_cifar_can_be_searched(name: str, tmp_path: Path) -> None:
    form = "python" if "resnet" in name else "binary"
    write_cifar(tmp_path / "data", train=120, test=40, form=form)  # type: ignore[arg-type]
    space = small(name, tmp_path / "data")
    found = search(space, trials=2, storage=f"sqlite:///{tmp_path}/dsx.db")
    assert [entry.redesigned > 0 for entry in found.entries] == [False, True]
    for entry in found.entries:
        assert 0 <= entry.metrics["accuracy"].value <= 1
        assert entry.metrics["latency_ms"].value > 0


@pytest.mark.slow
def test_the_space_for_mnist_can_be_searched(tmp_path: Path) -> None:
    text = SPACES["mnist5k-resnet"].read_text().replace("epochs: 3", "epochs: 1")
    space = build_space("mnist", "mnist.yaml", text)
    found = search(space, trials=2, storage=f"sqlite:///{tmp_path}/dsx.db")
    assert [entry.redesigned > 0 for entry in found.entries] == [False, True]
    for entry in found.entries:
        assert entry.metrics["accuracy"].value > 0.8
        assert entry.metrics["latency_ms"].value > 0
