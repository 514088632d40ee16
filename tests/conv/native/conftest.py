"""A compiler and libraries for the tests of the kernels."""

import pytest

from dsx.conv.native.compiling import Compiler, find_compiler


@pytest.fixture(scope="session")
def compiler() -> Compiler:
    """The C++ compiler of this machine."""
    found = find_compiler()
    if found is None:
        pytest.skip("needs a C++ compiler")
    return found
