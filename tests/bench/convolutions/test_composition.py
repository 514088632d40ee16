"""Compositions from operators of torch, compared with the dense convolution."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dsx.bench.convolutions.composition import compose, copied_channels
from dsx.conv import ConvSpec, build, preset


@pytest.mark.parametrize(
    ("spec", "copied"),
    [
        # 4 windows of 8 channels; 16 windows, which do not divide the 24 outputs.
        (preset("scc", groups=2, overlap=0.5, separable=False), 32),
        (preset("scc", groups=2, overlap=0.4, separable=False), 192),
        (preset("scc", groups=2, overlap=0.5), 32),
        (ConvSpec(kernel_shape="cross", groups=4, channel_stride=0.5), 32),
        (preset("ssc", kernel_shape="corners"), 0),
        (preset("group", groups=4), 0),
        (preset("lhc"), 0),
        (preset("slbf", k=4), 0),
        (preset("slbf", k=4, groups=2, channel_stride=0.5), 32),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_a_composition_computes_the_dense_convolution(
    spec: ConvSpec, copied: int, bias: bool
) -> None:
    kernel = 1 if spec.kernel_shape == "point" and not spec.separable else 3
    original = nn.Conv2d(16, 24, kernel, padding=kernel // 2, bias=bias).double()
    conv = build(spec, original)
    composed = compose(conv)
    x = torch.randn(2, 16, 6, 5, dtype=torch.float64)
    expected = F.conv2d(x, conv.dense_weight(), conv.dense_bias(), padding=kernel // 2)
    if spec.separable:
        # At the border, the bias of the depthwise stage is not that of the dense convolution.
        expected = conv(x)
    torch.testing.assert_close(composed(x), expected, rtol=0, atol=1e-10)
    assert copied_channels(composed) == copied
