"""The layers of a network in the format of golden/dsx_layers.json."""

from typing import Any

import torch
from torch import Tensor, nn

from dsx.conv.modules.fixed import FixedConv2d

Row = list[Any]
"""Name, type, input shape, output shape and, for a convolution, its options."""


def layers(network: nn.Module, image_shape: tuple[int, ...]) -> list[Row]:
    """Run a network on one image, and return its layers in the order of their calls."""
    names = {module: name for name, module in network.named_modules()}
    rows: list[Row] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        shapes = (list(inputs[0].shape[1:]), list(out.shape[1:]))
        kind = "SCC" if isinstance(module, FixedConv2d) else type(module).__name__
        rows.append([names[module], kind, *shapes, *_options(module)])

    leaves = [module for module in names if not list(module.children())]
    handles = [module.register_forward_hook(record) for module in leaves]
    with torch.no_grad():
        network.eval()(torch.zeros(1, *image_shape))
    for handle in handles:
        handle.remove()
    return rows


def _options(module: nn.Module) -> list[dict[str, Any]]:
    if isinstance(module, FixedConv2d):
        outputs, width, *kernel = module.weight.shape
        assert kernel == [1, 1] and module.bias is None
        return [{"weights": [outputs, width], "bias_unused": True}]
    if isinstance(module, nn.Conv2d):
        assert not isinstance(module.padding, str)
        sides = {"k": module.kernel_size, "s": module.stride, "p": module.padding}
        assert all(rows == columns for rows, columns in sides.values())
        square = {key: side for key, (side, _) in sides.items()}
        return [{**square, "g": module.groups, "bias": module.bias is not None}]
    return []
