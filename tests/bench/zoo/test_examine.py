"""The examination of a network: right values for one of dsx, and reasons for what fails."""

import pytest
import torch
from torch import Tensor, nn

from dsx.bench.zoo import examine
from dsx.bench.zoo.catalogue import SMALL_ZOO, Architecture
from dsx.bench.zoo.examine import STEPS, Examination, _multiply_adds

SMALL = next(each for each in SMALL_ZOO if each.library == "dsx")
QUICK = 0.02


@pytest.mark.slow
def test_a_network_of_dsx_is_right_in_everything() -> None:
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
        """Attend."""
        output: Tensor = self.layer(images.flatten(2).transpose(1, 2))
        return output


def test_attention_that_torch_computes_at_once_is_counted() -> None:
    projections, products, layers = 4 * 16 * 4 * 4, 2 * 16 * 16 * 4, 2 * 16 * 4 * 8
    image = torch.randn(1, 4, 4, 4)
    assert _multiply_adds(_Attention().eval(), image) == projections + products + layers
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_first_step_that_fails_is_the_last_one() -> None:
    steps: list[str] = []
    wrong = Architecture(library="dsx", name="small_cnn", side=8, channels=2)
    findings = Examination(wrong, QUICK, steps.append).run()
    assert steps == ["building"]
    assert findings["failed"].startswith("building: RuntimeError: Given groups=1, weight of size")


def test_a_fold_that_is_wrong_changes_the_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    # The counts alone do not show it: the batch norms are gone.
    monkeypatch.setattr(examine, "STEPS", STEPS[:4])
    right = Examination(SMALL, QUICK, lambda step: None)
    assert right.run()["difference"] <= 1e-4
    for name, parameter in right.deployed.network.named_parameters():
        if name.endswith("bias"):
            parameter.mul_(1.1)
            break
    right._comparing()
    assert right.findings["difference"] > 1e-3
