"""Watch a network run: which modules are called, and what is computed outside of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dsx.conv import DsxConv
from dsx.errors import DsxError
from dsx.space.network import run, wrapped

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
_COUNTED = (nn.Linear, *CONVOLUTIONS, DsxConv)
Call = tuple[torch.Size, torch.Size]
"""Shapes that went in and came out."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """What happened in one forward pass.

    Args:
        modules: The convolutions and linear layers in the order of their first call, with the
            shapes of each call.
        outside: Multiply-adds of convolutions and matrix products that no such module does.
        convolutions: How many convolutions were among them.
        output: Of the network.
        wrapped: Whether it came in an object that holds logits beside other things.
    """

    modules: Mapping[nn.Module, list[Call]]
    outside: int
    convolutions: int
    output: Tensor
    wrapped: bool


class _Outside(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what is computed while no counted module is at work."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known = known
        self.unknown = False
        self.inside = 0
        self.flops = 0
        self.convolutions = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.unknown |= any(isinstance(a, nn.Parameter) and id(a) not in self.known for a in args)
        count: Callable[..., int] | None = flop_registry.get(func._overloadpacket)
        if count is not None and not self.inside:
            # torch counts a multiplication and an addition as two.
            self.flops += count(*args, **(kwargs or {}), out_val=out) // 2
            self.convolutions += func._overloadpacket is torch.ops.aten.convolution
        return out


def watch(network: nn.Module, sample: Tensor) -> Calls:
    """Run a network once and note what is called.

    Args:
        network: In eval mode.
        sample: An input batch.

    Returns:
        What happened.

    Raises:
        DsxError: If the network does not run on the sample, has weights that torch does not see or
            that it makes on the way, or computes in another precision than that of its weights.
    """
    modules: dict[nn.Module, list[Call]] = {}
    outside = _Outside({id(p) for p in network.parameters()})
    known = dict(network.named_parameters())
    dtypes: set[torch.dtype] = set()
    returned: list[object] = []

    def enter(module: nn.Module, args: object) -> None:
        outside.inside += 1

    def leave(
        module: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor
    ) -> None:
        outside.inside -= 1
        if isinstance(output, Tensor):  # a subclass may return anything
            into = (*given, *named.values())[0]
            modules.setdefault(module, []).append((into.shape, output.shape))
            dtypes.add(output.dtype)

    hooks = [network.register_forward_hook(lambda _, given, output: returned.append(output))]
    for module in _counted(network):
        hooks.append(module.register_forward_pre_hook(enter, prepend=True))
        hooks.append(module.register_forward_hook(leave, with_kwargs=True))
    with _as_matrix_products(), outside:
        output = run(network, sample)
    for hook in hooks:
        hook.remove()
    _check_weights([name for name, _ in network.named_parameters() if name not in known], outside)
    _check_precision(dtypes - {sample.dtype})
    return Calls(
        modules=modules,
        outside=outside.flops,
        convolutions=outside.convolutions,
        output=output,
        wrapped=wrapped(returned[-1]),
    )


def _check_weights(added: list[str], outside: _Outside) -> None:
    if added:
        raise DsxError(
            f"the network makes weights in its first forward pass ({added[0]}), which no optimiser "
            "would know: make them in __init__, or use torch's lazy modules"
        )
    if outside.unknown:
        raise DsxError(
            "the network computes with weights that it does not register, so that they are neither "
            "trained nor saved (modules in a plain list or dict? nn.ModuleList and nn.ModuleDict "
            "register them)"
        )


def _check_precision(others: set[torch.dtype]) -> None:
    if others:
        kind = str(others.pop()).removeprefix("torch.")
        raise DsxError(
            f"the network computes in {kind} by itself (autocast in its forward?): leave that to "
            "train: {precision: bfloat16} and measure: {dtype: bfloat16}"
        )


@contextmanager
def _as_matrix_products() -> Iterator[None]:
    """Let attention be computed by operators that can be counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _counted(network: nn.Module) -> list[nn.Module]:
    """List the convolutions and linear layers, those inside dsx convolutions left out."""
    convs = [module for module in network.modules() if isinstance(module, DsxConv)]
    inner = {part for conv in convs for part in conv.modules() if part is not conv}
    return [m for m in network.modules() if isinstance(m, _COUNTED) and m not in inner]
