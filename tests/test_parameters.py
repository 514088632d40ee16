"""Names of parameters in messages: arguments of Python unless the caller names them otherwise."""

import pytest

from dsx import search
from dsx.errors import DsxError
from dsx.parameters import named_by, parameter
from tests.search.spaces import STATIC


def test_a_python_program_reads_arguments() -> None:
    assert parameter("mix_devices") == "mix_devices"
    assert parameter("mix_devices", True) == "mix_devices=True"
    assert parameter("study", "NAME") == "study=NAME"


def test_another_naming_ends_with_its_context() -> None:
    def shouted(name: str, value: object) -> str:
        return f"{name.upper()} {value}"

    with pytest.raises(DsxError, match=r"^TRIALS None: 0 "), named_by(shouted):
        search(STATIC, trials=0)
    with pytest.raises(DsxError, match=r"^trials: 0 "):
        search(STATIC, trials=0)
