"""Compile: torch.compile with its default compiler; weights are frozen, but not of float64."""

import functools
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from dsx.conv import Run
from dsx.measure.backends._base import Backend
from dsx.measure.backends._export import preparing
from dsx.process import restored_environment, torch_threads
from dsx.torch_private import (
    compile_graph,
    compiler_settings,
    forget_compiled,
    has_cpp_compiler,
)

MANY = 10_000


class _Compiler:
    """Compiles a network while that is prepared, and never again without a word.

    A run with other threads, or after torch has been told to forget what it compiled, would have
    torch compile anew: in the middle of a timing, and without freezing.
    """

    def __init__(self) -> None:
        self.open = False

    def __call__(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Any:
        assert self.open, "compiled a second time"
        return compile_graph(graph, inputs)


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
    # The same for every input of a network: by it, torch knows what it has compiled already.
    compiler = _compilers.setdefault(network, _Compiler())
    run = functools.partial(torch.compile(network, dynamic=False, backend=compiler), sample)
    compiler.open = True
    try:
        with (
            torch_threads(threads),
            # Freezing float64 fails.
            compiler_settings(freezing=sample.dtype != torch.float64, most=MANY),
            torch.inference_mode(),
        ):
            run()
    finally:
        compiler.open = False
    _alive.add(run)
    return run


def _forget() -> None:
    """Free what torch keeps of earlier networks, their weights among it, if none is in use."""
    if not _alive:
        forget_compiled()
        gc.collect()


def _no_compiler() -> str:
    # The compiler of torch names its cache in the environment when it is imported.
    with restored_environment():
        found = has_cpp_compiler()
    if found:
        return ""
    return "compile needs a C++ compiler: g++, or the one that the environment's CXX names"


BACKEND = Backend(prepare=prepare, lacks=_no_compiler, races=False)
