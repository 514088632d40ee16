"""GPU: run a network there as it will be run at work, not on what its cache still holds."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dsx.conv import Run

MOST_COPIES = 64
WARM_UP_CALLS = 3


def copies(sample: Tensor) -> list[Tensor]:
    """Copy an input so often that the copies together do not fit into the GPU's L2 cache.

    Args:
        sample: (B, C, H, W), on the GPU.

    Returns:
        The input and its copies, at most 64 in all.
    """
    cache = torch.cuda.get_device_properties(sample.device).L2_cache_size
    number = math.ceil(2 * cache / (sample.numel() * sample.element_size()))
    return [sample, *(sample.clone() for _ in range(min(number, MOST_COPIES) - 1))]


def in_rotation(runs: Sequence[Run]) -> Run:
    """Make one run of several: each call is the next one's turn."""
    turns = itertools.cycle(runs)
    return lambda: next(turns)()


def graphed(run: Run) -> Run:
    """Record what a run launches on the GPU into a CUDA graph, which is then launched at once.

    Args:
        run: Launches the same kernels on the same memory each time.

    Returns:
        Launches the graph, and gives the output, which the next launch overwrites.
    """
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP_CALLS):
            run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = run()

    def launch() -> object:
        graph.replay()
        return output

    return launch


def at_work(prepare: Callable[[Tensor], Run], sample: Tensor, graph: bool) -> Run:
    """Prepare a network on the GPU, with inputs that are not in its cache.

    Args:
        prepare: From an input to what runs the network on it.
        sample: (B, C, H, W), on the GPU.
        graph: Whether CUDA graphs are launched, one for each copy of the input.

    Returns:
        Runs the network once, each time on another copy.
    """
    runs = [prepare(copy) for copy in copies(sample)]
    return in_rotation([graphed(run) for run in runs] if graph else runs)
