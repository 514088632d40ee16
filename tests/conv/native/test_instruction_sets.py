"""The kernels of each instruction set compute the same."""

from collections.abc import Callable, Iterator

import pytest
import torch

from dsx.conv.native import Kernels, kernel, kernels, use
from tests.conv.native.cases import PROBLEMS, Case, Problem

FOUND = kernels()
NAMES = FOUND.instruction_sets if isinstance(FOUND, Kernels) else ()


@pytest.fixture(params=NAMES, autouse=True)
def instruction_set(request: pytest.FixtureRequest) -> Iterator[None]:
    """Use one of the instruction sets that this processor supports."""
    use(request.param)
    yield
    use(NAMES[0])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("make, case", PROBLEMS, ids=range(len(PROBLEMS)))
def test_the_output_is_right(
    make: Callable[[Case, torch.dtype], Problem], case: Case, dtype: torch.dtype
) -> None:
    problem = make(case, dtype)
    torch.set_num_threads(problem.threads)
    structure, output = problem.layer.structure(), problem.output.clone()
    kernel.run(problem.function, structure, problem.x, problem.other, output)
    problem.check(output)
