"""Runs on a GPU whose inputs are not in its cache."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dsx.conv import Run

MAX_COPIES = 64
WARM_UP_CALLS = 3


def copies(sample: Tensor) -> list[Tensor]:
    """Copy an input until the copies together exceed the L2 cache of the GPU.

    Args:
        sample: Input (B, C, H, W) on the GPU.

    Returns:
        The input and its copies, at most 64 tensors.
    """
    cache = torch.cuda.get_device_properties(sample.device).L2_cache_size
    number = math.ceil(2 * cache / (sample.numel() * sample.element_size()))
    return [sample, *(sample.clone() for _ in range(min(number, MAX_COPIES) - 1))]


def in_rotation(runs: Sequence[Run]) -> Run:
    """Combine runs into one that calls them cyclically.

    Args:
        runs: The runs.

    Returns:
        Function that calls the next run.
    """
    turns = itertools.cycle(runs)
    return lambda: next(turns)()


def graphed(run: Run) -> Run:
    """Record a run as a CUDA graph.

    Args:
        run: Function that launches the same kernels on the same memory in each call.

    Returns:
        Function that launches the graph and returns the output, which the next launch overwrites.
    """
    side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):
        for _ in range(WARM_UP_CALLS):
            run()
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = run()

    def launch() -> object:
        graph.replay()
        return output

    return launch


def rotating_run(prepare: Callable[[Tensor], Run], sample: Tensor, graph: bool) -> Run:
    """Prepare a network on the GPU with inputs that are not in its cache.

    Args:
        prepare: Function from an input to a run of the network on it.
        sample: Input (B, C, H, W) on the GPU.
        graph: Whether to record CUDA graphs, one for each copy of the input.

    Returns:
        Function that runs the network once, on the next copy of the input.
    """
    runs = [prepare(copy) for copy in copies(sample)]
    return in_rotation([graphed(run) for run in runs] if graph else runs)
