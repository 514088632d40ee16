"""Compile: torch.compile with its default compiler; weights are frozen, but not of float64."""

import functools
import gc
import sys
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from dsx.conv import Run
from dsx.errors import Unsupported
from dsx.measure.backends._base import Backend
from dsx.measure.backends._export import preparing
from dsx.process import restored_environment, torch_threads

MANY = 10_000


class _Compiler:
    """Compiles a network while that is prepared, and never again without a word.

    A run with other threads, or after torch has been told to forget what it compiled, would have
    torch compile anew: in the middle of a timing, and without freezing.
    """

    def __init__(self) -> None:
        self.open = False

    def __call__(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Any:
        from torch._inductor.compile_fx import compile_fx

        assert self.open, "compiled a second time"
        return compile_fx(graph, inputs)


_compilers: weakref.WeakKeyDictionary[nn.Module, _Compiler] = weakref.WeakKeyDictionary()
_alive: weakref.WeakSet[Run] = weakref.WeakSet()


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

    # The same for every input of a network: by it, torch knows what it has compiled already.
    compiler = _compilers.setdefault(network, _Compiler())
    run = functools.partial(torch.compile(network, dynamic=False, backend=compiler), sample)
    compiler.open = True
    try:
        with (
            torch_threads(threads),
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
        compiler.open = False
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


def _unsupported() -> Unsupported | None:
    # The compiler of torch names its cache in the environment when it is imported.
    with restored_environment():
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return Unsupported(
            "compile needs a C++ compiler: g++, or the one named by the environment variable CXX"
        )
    return None


BACKEND = Backend(prepare=prepare, unsupported=_unsupported, races=False)
