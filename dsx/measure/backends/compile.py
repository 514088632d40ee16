"""Compile: torch.compile with its default compiler; weights are frozen except in float64."""

import functools
import gc
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
from dsx.torch_private import (
    compile_graph,
    compiler_settings,
    forget_compiled,
    has_cpp_compiler,
)

MAX_RECOMPILATIONS = 10_000


class _Compiler:
    """A compiler that compiles a network only while it is prepared.

    After a change of the number of threads or a reset of its caches, torch would otherwise compile
    the network again during a timing, without freezing.
    """

    def __init__(self) -> None:
        self.open = False

    def __call__(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Any:
        assert self.open, "compiled a second time"
        return compile_graph(graph, inputs)


_compilers: weakref.WeakKeyDictionary[nn.Module, _Compiler] = weakref.WeakKeyDictionary()
_alive: weakref.WeakSet[Run] = weakref.WeakSet()


def prepare(networks: Sequence[nn.Module], sample: Tensor, threads: int) -> list[Run]:
    """Compile each network and run it once.

    Args:
        networks: Networks in eval mode.
        sample: Input of the networks.
        threads: Number of threads; the caller sets it whenever a network is run.

    Returns:
        One run for each network.

    Raises:
        TrialFailed: If a network cannot be compiled.
    """
    _forget()
    with preparing("compile"):
        return [_compiled(network, sample, threads) for network in networks]


def _compiled(network: nn.Module, sample: Tensor, threads: int) -> Run:
    # One compiler for all inputs of a network, because torch caches compiled code by compiler.
    compiler = _compilers.setdefault(network, _Compiler())
    run = functools.partial(torch.compile(network, dynamic=False, backend=compiler), sample)
    compiler.open = True
    try:
        with (
            torch_threads(threads),
            # Freezing fails in float64.
            compiler_settings(freezing=sample.dtype != torch.float64, most=MAX_RECOMPILATIONS),
            torch.inference_mode(),
        ):
            run()
    finally:
        compiler.open = False
    _alive.add(run)
    return run


def _forget() -> None:
    """Clear the caches of torch, including the weights of earlier networks, if none is in use."""
    if not _alive:
        forget_compiled()
        gc.collect()


def _unsupported() -> Unsupported | None:
    # Importing the compiler of torch sets environment variables.
    with restored_environment():
        found = has_cpp_compiler()
    if found:
        return None
    return Unsupported(
        "compile needs a C++ compiler: g++, or the one named by the environment variable CXX"
    )


BACKEND = Backend(prepare=prepare, unsupported=_unsupported, times_forms=False, native_forms=True)
