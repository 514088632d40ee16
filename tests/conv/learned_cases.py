"""The golden cases of learned shapes, after a forward and a backward pass."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv import ConvSpec, build
from dsx.conv.modules.learned import LearnedConv2d
from tests.conv.golden import golden


def nchw(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).contiguous()


def oihw(kernel: Tensor) -> Tensor:
    return kernel.permute(3, 2, 0, 1).contiguous()


@dataclass(frozen=True)
class LearnedCase:
    """A golden case with its convolution, input and output."""

    fields: dict[str, Tensor]
    module: LearnedConv2d
    x: Tensor
    y: Tensor


def learned_case(name: str) -> LearnedCase:
    """Build the convolution of a golden case, and run a forward and a backward pass."""
    fields = golden(name)
    kernel = oihw(fields["kernel"])
    slot = nn.Conv2d(
        kernel.shape[1], kernel.shape[0], 3, int(fields["stride"]), dtype=torch.float64
    )
    spec = ConvSpec(
        kernel_shape="learned",
        density=float(fields["dt"]),
        rigid=name.startswith("lhc_r"),
        block_in=int(fields["cgi"]),
        block_out=int(fields["cgo"]),
    )
    module = build(spec, slot)
    assert isinstance(module, LearnedConv2d)
    module.load_state_dict(
        {
            "weight": kernel,
            "bias": fields["bias"],
            "shape_scores": fields["effects"],
            "enabled": fields["vector"].bool(),
            "frozen": fields["fixed"].bool(),
        }
    )
    top, bottom, left, right = fields["pads_tblr"].tolist()
    x = nchw(fields["x"]).requires_grad_()
    y = module(F.pad(x, (left, right, top, bottom)))
    y.backward(nchw(fields["dy"]))
    return LearnedCase(fields, module, x, y)
