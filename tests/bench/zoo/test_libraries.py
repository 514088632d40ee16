"""Messages about missing libraries, and torchvision without its compiled operators."""

import subprocess
import sys

import pytest
import torch

from dsx.bench.zoo.catalogue import ZOO, Architecture
from dsx.bench.zoo.examine import Examination
from dsx.bench.zoo.libraries import (
    build,
    check_installed,
    import_torchvision,
    missing_operator,
    missing_packages,
    network,
    pixels,
    published,
)
from dsx.errors import DsxError

KNOWN = {each.label: each for each in ZOO}
zoo = pytest.mark.zoo
installed = pytest.mark.skipif(bool(missing_packages()), reason="the extra zoo is not installed")


def test_missing_packages_are_named_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("timm", "torchvision", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DsxError, match=r"^timm is not installed \(needed: pip install 'dsx\[zoo\]"):
        check_installed(["timm"])
    with pytest.raises(DsxError, match=r"^timm, transformers are not installed"):
        check_installed(["timm", "transformers"])
    with pytest.raises(DsxError, match=r"^timm, torchvision are not installed"):
        build(KNOWN["timm resnet18"])


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(DsxError, match=r"no architecture called 'timm resnet81'.*Did you mean"):
        network("timm", "resnet81")


def test_the_data_of_a_search_have_no_images() -> None:
    data = pixels(3, 64, 1000)
    assert (data.image_shape, data.classes) == ((3, 64, 64), 1000)
    with pytest.raises(DsxError, match="the benchmark has no images"):
        _ = data.splits


def test_an_error_about_something_else_names_no_operator() -> None:
    assert missing_operator(ValueError("no")) is None


@pytest.mark.slow
def test_dsx_imports_no_library_of_the_zoo() -> None:
    script = (
        "import sys, dsx.bench.networks, dsx.bench.zoo.examine\n"
        "sys.exit(bool({'timm', 'torchvision', 'transformers'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@zoo
@installed
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("label", ["timm tinynet_e", "transformers MobileNetV1"])
def test_a_network_is_built_with_random_weights(label: str) -> None:
    output = build(KNOWN[label])(torch.randn(1, 3, 32, 32))
    logits = output if isinstance(output, torch.Tensor) else output.logits
    assert logits.shape == (1, 1000) and logits.std() > 0


@zoo
@installed
@pytest.mark.filterwarnings("default")
def test_torchvision_publishes_its_numbers() -> None:
    found = published(KNOWN["torchvision resnet18"])
    assert found is not None
    assert (found.params, found.flops, found.side) == (11_689_512, 1.814e9, 224)
    assert published(KNOWN["torchvision fasterrcnn_mobilenet_v3_large_320_fpn"]) is None


@zoo
@installed
@pytest.mark.filterwarnings("default")
def test_an_operator_whose_library_does_not_load_is_named() -> None:
    torchvision = import_torchvision()
    if torchvision.extension._has_ops():
        pytest.skip("the compiled operators of torchvision load here")
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    with pytest.raises(RuntimeError, match="Couldn't load custom") as raised:
        torchvision.ops.nms(boxes, torch.ones(1), 0.5)
    assert missing_operator(raised.value) == "torchvision.ops.nms"
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    detection = Architecture(library="torchvision", name=name, side=64)
    assert Examination(detection, 0.02, lambda step: None).run()["failed"] == (
        "not runnable: calls torchvision.ops.nms, whose compiled code does not load here"
    )
