"""Exhausted memory is reported as such, with exit code 1, not as an error of the network."""

from pathlib import Path

import pytest

from dsx.errors import raise_out_of_memory
from tests.cli.running import one_line, start
from tests.robustness.conftest import Tally
from tests.search.spaces import STATIC, varied

KIND = "memory runs out"
GIB = 2**30


def greedy(folder: Path, when: str, how: str) -> Path:
    model = f"model: tests.search.models:Greedy\nmodel_args: {{when: {when}, how: {how}}}"
    return varied(STATIC, folder, "model: small_cnn\nmodel_args: {width: 4}", model)


@pytest.mark.parametrize("how", ["python", "torch"])
@pytest.mark.parametrize(
    ("when", "command"),
    [("built", "space"), ("run", "space"), ("trained", "search"), ("run", "measure")],
)
def test_a_network_that_allocates_too_much(
    when: str, how: str, command: str, tmp_path: Path, tally: Tally
) -> None:
    ended = start(command, greedy(tmp_path, when, how), folder=tmp_path).wait()
    line = ended.err.splitlines()[-1]
    right = ended.code == 1 and line.startswith("dsx: out of memory") and not ended.out
    tally(KIND, right)
    assert right, ended
    assert "Traceback" not in ended.err and ended.err.count("dsx: ") == 1


@pytest.mark.parametrize("command", ["space", pytest.param("search", marks=pytest.mark.long)])
def test_a_network_that_is_too_large_for_this_machine(
    command: str, tmp_path: Path, tally: Tally
) -> None:
    space = varied(STATIC, tmp_path, "width: 4", "width: 1000")
    ended = start(command, space, folder=tmp_path, memory_limit=4 * GIB).wait()
    right = ended.code == 1 and "out of memory" in ended.err
    tally(KIND, right)
    assert right, ended
    assert one_line(ended, 1).startswith("out of memory: ")


def test_other_errors_are_not_about_memory() -> None:
    raise_out_of_memory(ValueError("out of memory"))
    raise_out_of_memory(RuntimeError("shapes do not fit"))
    with pytest.raises(MemoryError, match=r"^out of memory: CUDA out of memory\. Tried"):
        raise_out_of_memory(RuntimeError("CUDA out of memory. Tried"))
    with pytest.raises(MemoryError, match=r"^out of memory$"):
        raise_out_of_memory(MemoryError())
