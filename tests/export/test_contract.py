"""Contract of all export formats in the folder."""

from pathlib import Path

import pytest
import torch

from dsx.conv import Deployed, deploy
from dsx.export import Exporter
from dsx.lookup import find, names
from dsx.space import redesign
from tests.export.conftest import Searched


@pytest.fixture(params=names(Exporter))
def exporter(request: pytest.FixtureRequest) -> Exporter:
    return find(Exporter, request.param)


@pytest.fixture(scope="module")
def deployed(searched: Searched) -> Deployed:
    network = redesign(searched.space.network(), searched.design.changed)
    network.load_state_dict(searched.weights)
    return deploy(network, torch.zeros(2, 1, 8, 8))


def test_exactly_the_returned_files_are_written(
    exporter: Exporter, deployed: Deployed, tmp_path: Path
) -> None:
    files = exporter.write(deployed, torch.zeros(2, 1, 8, 8), "A headline.", tmp_path)
    assert sorted(files) == sorted(tmp_path.iterdir())
    assert all(file.stat().st_size for file in files)


def test_equal_networks_have_equal_files(
    exporter: Exporter, deployed: Deployed, tmp_path: Path
) -> None:
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files = exporter.write(deployed, torch.zeros(2, 1, 8, 8), "A headline.", tmp_path / name)
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]


def test_the_network_is_unchanged(exporter: Exporter, deployed: Deployed, tmp_path: Path) -> None:
    images = torch.randn(2, 1, 8, 8)
    before = deployed(images)
    exporter.write(deployed, images, "A headline.", tmp_path)
    assert torch.equal(deployed(images), before)
