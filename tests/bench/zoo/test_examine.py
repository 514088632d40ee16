"""The examination of a network: correct values for one of dsx, and reasons of failures."""

import pytest
import torch
from torch import Tensor, nn

from dsx.bench.zoo.catalogue import SMALL_ZOO, Architecture
from dsx.bench.zoo.examine import STEPS, Examination, _multiply_adds

SMALL = next(each for each in SMALL_ZOO if each.library == "dsx")
QUICK = 0.02


@pytest.mark.slow
def test_all_findings_about_a_network_of_dsx_are_correct() -> None:
    steps: list[str] = []
    findings = Examination(SMALL, QUICK, steps.append).run()
    assert steps == list(STEPS)
    assert findings["params"] == findings["params_counted"]
    assert findings["flops"] == findings["flops_counted"] > 0
    assert findings["norms"] == findings["norms_folded"] > 0
    assert (findings["norms_left"], findings["model_py"]) == (0, "written")
    assert 0 < findings["difference"] <= 1e-4
    assert findings["eager_ms"] > 0 and findings["deployed_ms"] > 0
    assert findings["untraced"] is None and "failed" not in findings


class _Attention(nn.Module):
    """Two heads of attention over 16 pixels of 4 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        """Apply the layer to the pixels."""
        output: Tensor = self.layer(images.flatten(2).transpose(1, 2))
        return output


def test_fused_attention_is_counted() -> None:
    projections, products, layers = 4 * 16 * 4 * 4, 2 * 16 * 16 * 4, 2 * 16 * 4 * 8
    image = torch.randn(1, 4, 4, 4)
    assert _multiply_adds(_Attention().eval(), image) == projections + products + layers
    assert torch.backends.mha.get_fastpath_enabled()


def test_no_step_follows_a_failed_one() -> None:
    steps: list[str] = []
    wrong = Architecture(library="dsx", name="small_cnn", side=8, channels=2)
    findings = Examination(wrong, QUICK, steps.append).run()
    assert steps == ["building"]
    assert findings["failed"].startswith("building: RuntimeError: Given groups=1, weight of size")


def test_a_wrong_fold_changes_the_outputs() -> None:
    # The counts are not affected, since the batch norms are removed in any case.
    right = Examination(SMALL, QUICK, lambda step: None, STEPS[:4])
    assert right.run()["difference"] <= 1e-4
    for name, parameter in right.deployed.network.named_parameters():
        if name.endswith("bias"):
            parameter.mul_(1.1)
            break
    right._comparing()
    assert right.findings["difference"] > 1e-3
