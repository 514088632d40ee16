"""A compiler, and the compiled kernels, for the tests of the kernels."""

from collections.abc import Iterator

import pytest

from dsx.conv.native import Kernels, kernels, use
from dsx.conv.native.compiling import Compiler, find_compiler
from dsx.errors import Unsupported


@pytest.fixture(scope="session")
def compiler() -> Compiler:
    """The C++ compiler of this machine."""
    found = find_compiler()
    if found is None:
        pytest.skip("needs a C++ compiler")
    return found


@pytest.fixture(scope="module")
def compiled() -> Iterator[Kernels]:
    """The kernels of this process, with the instruction set restored at the end."""
    found = kernels()
    if isinstance(found, Unsupported):
        pytest.skip(found.reason)
    yield found
    use(found.instruction_set)


def supported() -> tuple[str, ...]:
    """Return the instruction sets that this processor supports; none without kernels."""
    found = kernels()
    return found.instruction_sets if isinstance(found, Kernels) else ()


@pytest.fixture(params=supported())
def instruction_set(request: pytest.FixtureRequest, compiled: Kernels) -> Iterator[str]:
    """One of the instruction sets that this processor supports, in use."""
    use(request.param)
    yield str(request.param)
    use(compiled.instruction_set)
