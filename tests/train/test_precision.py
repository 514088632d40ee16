"""The selected precision, and narrow groups in float32."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec
from dsx.space import redesign
from dsx.space.yaml.schema import Train
from dsx.train import chosen_precision, precision, train
from dsx.train.precision import narrow_in_float32
from tests.train.networks import digits, fresh


@pytest.mark.parametrize("device", ["cpu", "cuda", "meta"])
def test_an_explicit_precision_is_used(device: str) -> None:
    assert chosen_precision("float32", device) == "float32"
    assert chosen_precision("bfloat16", torch.device(device)) == "bfloat16"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512f avx512_bf16 sse", "bfloat16"),
        ("fpu amx_bf16 amx_tile", "bfloat16"),
        ("fpu avx2 avx512f", "float32"),
        ("not_avx512_bf16", "float32"),
        (None, "float32"),
    ],
)
def test_auto_depends_on_the_processor(flags: str | None, expected: str, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert chosen_precision("auto", cpuinfo=cpuinfo) == expected
    assert chosen_precision("auto", "meta", cpuinfo) == "float32"


def output_dtypes(network: nn.Module) -> dict[str, torch.dtype]:
    """Record the dtype in which each convolution computes."""
    dtypes: dict[str, torch.dtype] = {}

    def recorder(name: str) -> Any:
        def hook(module: nn.Module, inputs: object, out: Tensor) -> None:
            dtypes[name] = out.dtype

        return hook

    for name, module in network.named_modules():
        if name.endswith(("conv1", "conv2", "depthwise", "pointwise", "stem.0")):
            module.register_forward_hook(recorder(name))
    return dtypes


def test_narrow_groups_compute_in_float32() -> None:
    specs = {
        "stages.0.conv1": ConvSpec(groups=4),  # 4 channels wide
        "stages.0.conv2": ConvSpec(groups=2),  # 8
        "stages.1.conv1": ConvSpec(separable=True),
        "stages.1.conv2": ConvSpec(groups=8, channel_stride=0.5),  # computed as a dense convolution
        "stages.2.conv1": ConvSpec(groups=8, binary_basis=4),  # 4
    }
    network = redesign(fresh(16), specs)
    dtypes = output_dtypes(network)
    train(network, digits(20), Train(epochs=1, precision="bfloat16"))
    wide = {name for name, dtype in dtypes.items() if dtype == torch.float32}
    assert wide == {"stages.0.conv1", "stages.1.conv1.depthwise", "stages.2.conv1"}
    assert {dtype for name, dtype in dtypes.items() if name not in wide} == {torch.bfloat16}


def test_the_network_is_restored_afterwards() -> None:
    one, other = nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 3, groups=4)
    forward = other.forward = one.forward  # type: ignore[method-assign]
    network = nn.Sequential(one, other)
    with pytest.raises(ValueError, match="on purpose"), narrow_in_float32(network):
        assert one.forward != forward and other.forward is not forward
        raise ValueError("on purpose")
    assert "forward" not in vars(one)
    assert other.forward is forward


def test_float32_does_not_change_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_in_float32", None)
    network = redesign(fresh(16), {"stages.0.conv1": ConvSpec(groups=4)})
    train(network, digits(20), Train(epochs=1))
