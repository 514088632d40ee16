"""Compile: torch.compile with its default compiler; weights are frozen, but not of float64."""

import gc
import sys
import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dsx.conv.timing import Run
from dsx.measure.backends._base import Backend
from dsx.measure.backends._export import preparing

MANY = 10_000
_alive: "weakref.WeakSet[_Compiled]" = weakref.WeakSet()


class _Compiled:
    """A compiled network, its only input, and the threads it was compiled for."""

    def __init__(self, call: Callable[[Tensor], Tensor], sample: Tensor, threads: int) -> None:
        self.call, self.sample, self.threads = call, sample, threads

    def __call__(self) -> Tensor:
        # With other threads torch would compile anew, without a word and without freezing.
        assert torch.get_num_threads() == self.threads and torch.is_inference_mode_enabled()
        return self.call(self.sample)


def prepare(networks: Sequence[nn.Module], sample: Tensor, threads: int) -> list[Run]:
    """Compile each network, and run it once.

    Args:
        networks: In eval mode.
        sample: Their input.
        threads: To be used; to be set whenever a network is run.

    Returns:
        What runs each once.

    Raises:
        TrialFailed: If a network cannot be compiled.
    """
    _forget()
    with preparing("compile"):
        return [_compiled(network, sample, threads) for network in networks]


def _compiled(network: nn.Module, sample: Tensor, threads: int) -> Run:
    import torch._dynamo.config
    import torch._inductor.config
    from torch._dynamo.exc import BackendCompilerFailed

    run = _Compiled(torch.compile(network, dynamic=False), sample, threads)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with (
            # As an option of torch.compile, freezing has no effect (torch 2.13); of float64 it
            # fails.
            torch._inductor.config.patch(freezing=sample.dtype != torch.float64, compile_threads=1),
            # After eight networks alike, torch would run the ninth in eager without an error.
            torch._dynamo.config.patch(recompile_limit=MANY, accumulated_recompile_limit=MANY),
            torch.inference_mode(),
        ):
            run()
    except BackendCompilerFailed as error:
        raise error.inner_exception from None
    finally:
        torch.set_num_threads(before)
    _alive.add(run)
    return run


def _forget() -> None:
    """Free what torch keeps of earlier networks, their weights among it, if none is in use."""
    from torch._inductor.codecache import PyCodeCache
    from torch._inductor.utils import clear_caches

    if _alive:
        return
    torch.compiler.reset()
    for module in PyCodeCache.modules:
        sys.modules.pop(module.__name__, None)
    clear_caches()
    gc.collect()


def _no_compiler() -> str:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "compile needs a C++ compiler: g++, or the one that the environment's CXX names"
    return ""


BACKEND = Backend(prepare=prepare, lacks=_no_compiler, races=False)
