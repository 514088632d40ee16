"""Fusion of the operations around block-sparse convolutions into their kernel.

An activation and a residual addition that follow save a pass over the output each, and always pay.
A depthwise convolution that comes before is computed tile by tile, if that is faster.
"""

import dataclasses
import hashlib
import json
import operator
from collections.abc import Mapping, MutableMapping

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from dsx.conv.deploy._choose import (
    EAGER,
    Choice,
    Runner,
    fastest,
    is_channels_last,
    kernels_in_use,
)
from dsx.conv.native.kernel import is_supported
from dsx.conv.native.module import BlockSparseConv2d
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.timing import Timer
from dsx.torch_private import has_forward_hooks

_MODULES: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.Hardswish: "hardswish",
}
_FUNCTIONS: dict[object, str] = {
    F.relu: "relu",
    torch.relu: "relu",
    torch.relu_: "relu",
    F.relu_: "relu",
    F.relu6: "relu6",
    F.hardswish: "hardswish",
}
_METHODS = {"relu": "relu", "relu_": "relu"}
_ADDITIONS = (operator.add, operator.iadd, torch.add)
FUSED, STAGED = "fused", "staged"


def fuse(
    network: fx.GraphModule,
    sample: Tensor,
    timer: Timer,
    form_cache: MutableMapping[str, Choice],
    runner: Runner = EAGER,
) -> dict[str, str]:
    """Fuse what surrounds the block-sparse convolutions of a deployed network, in place.

    Args:
        network: Flat graph of the deployed network.
        sample: Example input of the network.
        timer: Function that measures the median times of callables.
        form_cache: Selections by situation; a new selection is added.
        runner: Software that runs what is timed.

    Returns:
        Name of each convolution with a fused depthwise one, and the name of that.
    """
    if not any(isinstance(module, BlockSparseConv2d) for module in network.modules()):
        return {}
    # A copy, because the network may change its input.
    ShapeProp(network).propagate(sample.clone())
    for node in list(network.graph.nodes):
        if _kernel(node, network) is not None:
            _fuse_residual(_fuse_activation(node, network), network)
    fused: dict[str, str] = {}
    for node in list(network.graph.nodes):
        if _kernel(node, network) is not None:
            depthwise = _fuse_depthwise(node, network, timer, form_cache, runner)
            fused |= {} if depthwise is None else {str(node.target): depthwise}
    network.delete_all_unused_submodules()
    network.recompile()
    return fused


def _kernel(node: fx.Node, network: fx.GraphModule) -> BlockSparseConv2d | None:
    """Return the block-sparse convolution that a node calls, if it is called once."""
    module = _module(node, network)
    if not isinstance(module, BlockSparseConv2d) or has_forward_hooks(module):
        return None
    calls = sum(other.target == node.target for other in network.graph.nodes)
    return module if calls == 1 else None


def _module(node: object, network: fx.GraphModule) -> nn.Module | None:
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    return network.get_submodule(str(node.target))


def _only_user(node: fx.Node) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def _activation(node: fx.Node, network: fx.GraphModule) -> str | None:
    """Return the name of the activation that a node computes."""
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        return None if has_forward_hooks(module) else _MODULES.get(type(module))
    if node.op == "call_function":
        return _FUNCTIONS.get(node.target)
    return _METHODS.get(str(node.target)) if node.op == "call_method" else None


def _fuse_activation(node: fx.Node, network: fx.GraphModule) -> fx.Node:
    """Fuse the activation that is the only user of a convolution."""
    user = _only_user(node)
    name = None if user is None else _activation(user, network)
    module = _kernel(node, network)
    if user is not None and name is not None and module is not None and module.activation == "none":
        module.activation = name
        user.replace_all_uses_with(node)
        network.graph.erase_node(user)
    return node


def _fuse_residual(node: fx.Node, network: fx.GraphModule) -> None:
    """Fuse the addition that is the only user of a convolution, and the activation after it."""
    user, module = _only_user(node), _kernel(node, network)
    if user is None or module is None or module.activation != "none":
        return
    if len(node.args) != 1 or node.kwargs:
        return
    is_addition = user.target in _ADDITIONS or (
        user.op == "call_method" and user.target in ("add", "add_")
    )
    if not is_addition or user.kwargs or len(user.args) != 2:
        return
    # In place, the sum must replace the output of the convolution, which has no other user.
    in_place = user.target in (operator.iadd, "add_")
    if in_place and user.args[0] is not node:
        return
    others = [argument for argument in user.args if argument is not node]
    if len(others) != 1 or not isinstance(others[0], fx.Node) or others[0].op == "get_attr":
        return
    if _tensor(others[0]) != _tensor(node) or _changes_in_place(node, user, network):
        return
    # In the place of the addition, because the other term may be computed after the convolution.
    with network.graph.inserting_before(user):
        fused = network.graph.call_module(str(node.target), (node.args[0], others[0]))
    fused.meta = dict(user.meta)
    user.replace_all_uses_with(fused)
    network.graph.erase_node(user)
    network.graph.erase_node(node)
    _fuse_activation(fused, network)


def _tensor(node: fx.Node) -> tuple[object, ...] | None:
    meta = node.meta.get("tensor_meta")
    return None if meta is None else (meta.shape, meta.dtype)


def _changes_in_place(
    first: fx.Node, last: fx.Node, network: fx.GraphModule, apart_from: fx.Node | None = None
) -> bool:
    """Check whether a node between two nodes may change a tensor in place."""
    node = first.next
    while node is not last:
        if node is apart_from:
            node = node.next
            continue
        module = _module(node, network)
        in_place = getattr(module, "inplace", False) or node.kwargs.get("inplace", False)
        name = str(getattr(node.target, "__name__", node.target))
        named_so = node.op != "call_module" and name.endswith("_")
        if in_place or named_so or node.target is operator.iadd:
            return True
        node = node.next
    return False


def _fuse_depthwise(
    node: fx.Node,
    network: fx.GraphModule,
    timer: Timer,
    form_cache: MutableMapping[str, Choice],
    runner: Runner,
) -> str | None:
    """Fuse a depthwise convolution whose only user is `node`, and return its name if it was."""
    module, source = _kernel(node, network), node.args[0] if node.args else None
    if module is None or not isinstance(source, fx.Node) or not _is_pointwise(module):
        return None
    activation = _activation(source, network) if _only_user(source) is node else None
    first = source.all_input_nodes[0] if activation is not None else source
    conv = _module(first, network)
    if not isinstance(conv, nn.Conv2d) or not _is_depthwise(conv) or len(first.users) != 1:
        return None
    # The activation between the two changes only the output of the depthwise convolution.
    if _changes_in_place(first, node, network, apart_from=source):
        return None
    x, *others = first.args[0] if first.args else None, *node.args[1:]
    samples = [_sample(each, conv.weight) for each in (x, *others)]
    image, residual = [*samples, None][:2]
    calls = sum(other.target == first.target for other in network.graph.nodes)
    if image is None or calls > 1:
        return None
    fused = module.after_depthwise(
        _geometry(conv, module), conv.weight, conv.bias, activation or "none"
    )
    between = [_MODULE_OF[activation]()] if activation else []
    forms = {
        FUSED: WithResidual(nn.Identity(), fused, residual),
        STAGED: WithResidual(nn.Sequential(conv, *between), module, residual),
    }
    if _choose(forms, image, timer, form_cache, runner) == STAGED:
        return None
    network.set_submodule(str(node.target), fused)
    node.args = (x, *others)
    for replaced in dict.fromkeys((source, first)):
        network.graph.erase_node(replaced)
    return str(first.target)


class WithResidual(nn.Module):
    """A fused or staged form as a function of the image alone, so that a runner can run it.

    Args:
        first: Function whose output is the input of the convolution.
        conv: Block-sparse convolution.
        residual: Tensor that the convolution adds, or None.
    """

    conv: BlockSparseConv2d
    residual: Tensor | None

    def __init__(self, first: nn.Module, conv: BlockSparseConv2d, residual: Tensor | None) -> None:
        super().__init__()
        self.first, self.conv = first, conv
        self.register_buffer("residual", residual)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the depthwise and the block-sparse convolution.

        Args:
            x: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        out: Tensor = self.conv(self.first(x), self.residual)
        return out


def _sample(node: object, like: Tensor) -> Tensor | None:
    """Return random values in the shape and memory layout of the output of a node."""
    meta = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    if meta is None:
        return None
    # Random, because the time of an operation on zeros may differ.
    values = torch.randn(meta.shape, generator=torch.Generator().manual_seed(0))
    layout = meta.memory_format or torch.contiguous_format
    return values.to(like.device, like.dtype, memory_format=layout)


_MODULE_OF = {name: kind for kind, name in _MODULES.items()}


def _is_pointwise(module: BlockSparseConv2d) -> bool:
    geometry = module.geometry
    plain = geometry.stride == (1, 1) and geometry.padding == (0, 0, 0, 0)
    return plain and geometry.kernel_size == (1, 1) and module.depthwise is None


def _is_depthwise(conv: nn.Conv2d) -> bool:
    each = conv.groups == conv.in_channels == conv.out_channels > 1
    plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return each and plain and not has_forward_hooks(conv) and is_supported(Geometry.of(conv))


def _geometry(conv: nn.Conv2d, module: BlockSparseConv2d) -> Geometry:
    return dataclasses.replace(Geometry.of(conv), out_channels=module.geometry.out_channels)


def _choose(
    forms: Mapping[str, WithResidual],
    image: Tensor,
    timer: Timer,
    form_cache: MutableMapping[str, Choice],
    runner: Runner,
) -> str:
    """Return whether the fused or the staged form is faster: from the form cache, or timed."""
    fused, residual = forms[FUSED].conv, forms[FUSED].residual
    facts = {
        "fusion": hashlib.sha256(fused.plan.cpu().numpy().tobytes()).hexdigest(),
        "others": [fused.bias is not None, fused.merge is not None, residual is not None],
        "device": image.device.type,
        "activations": [fused.depthwise_activation, fused.activation],
        "input": list(image.shape),
        "channels_last": [x is not None and is_channels_last(x) for x in (image, residual)],
        "dtype": str(image.dtype),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "kernels": kernels_in_use(image),
        "runner": runner.name,
    }
    key = json.dumps(facts, sort_keys=True)
    if key not in form_cache:
        form_cache[key] = fastest(forms, image, timer, runner)
    return form_cache[key].form
