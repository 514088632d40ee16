"""Runs on a GPU: inputs outside of its cache, and correct outputs."""

import pytest
import torch
from torch import Tensor, nn

from dsx.conv.timing import Run
from dsx.measure.timing.gpu import MAX_COPIES, copies, graphed, in_rotation, rotating_run


def test_runs_are_called_cyclically() -> None:
    seen: list[str] = []
    run = in_rotation([lambda: seen.append("a"), lambda: seen.append("b")])
    for _ in range(5):
        run()
    assert "".join(seen) == "ababa"


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("side", [8, 256, 2048])
def test_copies_exceed_the_cache(side: int) -> None:
    sample = torch.randn(1, 16, side, side, device="cuda")
    found = copies(sample)
    cache = torch.cuda.get_device_properties(sample.device).L2_cache_size
    assert found[0] is sample
    assert all(torch.equal(copy, sample) for copy in found)
    assert len({copy.data_ptr() for copy in found}) == len(found) <= MAX_COPIES
    bytes_together = sum(copy.numel() * copy.element_size() for copy in found)
    assert bytes_together >= 2 * cache or len(found) == MAX_COPIES


@pytest.mark.cuda
@needs_gpu
def test_graph_returns_the_output_of_the_run() -> None:
    x = torch.randn(4, 8, device="cuda")
    network = nn.Linear(8, 3).cuda().eval()
    with torch.inference_mode():
        launch = graphed(lambda: network(x))
        x.mul_(2)
        output = launch()
        assert isinstance(output, Tensor)
        torch.testing.assert_close(output, network(x))


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("graph", [False, True])
def test_each_run_works_on_the_next_copy(graph: bool) -> None:
    sample = torch.randn(1, 4, 16, 16, device="cuda")
    network = nn.Conv2d(4, 4, 3).cuda().eval()
    inputs: list[int] = []

    def prepare(copy: Tensor) -> Run:
        inputs.append(copy.data_ptr())
        return lambda: network(copy)

    with torch.inference_mode():
        run = rotating_run(prepare, sample, graph)
        outputs = [run() for _ in range(len(inputs) + 1)]
        expected = network(sample)
    assert len(set(inputs)) == len(inputs) > 1
    for output in outputs:
        torch.testing.assert_close(output, expected)
    pointers = [output.data_ptr() for output in outputs if isinstance(output, Tensor)]
    # A graph always writes to the same memory.
    if graph:
        assert len(set(pointers)) == len(inputs)
        assert pointers[0] == pointers[-1]
