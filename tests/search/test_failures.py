"""Failures: errors of code outside dsx are failures, bugs in dsx propagate with their traceback."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sqlalchemy.exc import SQLAlchemyError
from torch import Tensor, nn

from dsx.activity import ignore_status
from dsx.errors import SpaceError, TrialFailed
from dsx.search.evaluator import Evaluator
from dsx.search.failures import failing_as_trial, traceback_of
from dsx.space import SearchSpace, load_space
from tests.search.opening import created
from tests.search.spaces import STATIC

LINES = """
def fail(error):
    raise error

def call(function, *arguments):
    return function(*arguments)
"""


def function_of(module: str, name: str) -> Callable[..., Any]:
    """Define a function in a module of this name, as it would be on a traceback."""
    names: dict[str, Any] = {"__name__": module}
    exec(LINES, names)
    found: Callable[..., Any] = names[name]
    return found


def space(*imports: str) -> SearchSpace:
    """Build a space whose file names code outside dsx."""
    loaded = load_space(STATIC)
    return dataclasses.replace(
        loaded, source=dataclasses.replace(loaded.source, content={"imports": list(imports)})
    )


BUILT_IN, FOREIGN = space(), space("mypkg.metrics:ENERGY")


class Network(nn.Module):
    """A network that raises an error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        """Raise the error."""
        raise self.error


FAIL = {module: function_of(module, "fail") for module in ("dsx.measure.x", "mypkg.models", "json")}


@pytest.mark.parametrize("error", [ValueError("a"), KeyError("a"), RuntimeError("a"), OSError("a")])
def test_any_error_of_the_users_code_is_a_failure(error: Exception) -> None:
    with pytest.raises(TrialFailed) as caught, failing_as_trial(FOREIGN):
        FAIL["mypkg.models"](error)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [ValueError("a"), KeyError("a"), RuntimeError("a"), OSError("a")])
@pytest.mark.parametrize("module", ["dsx.measure.x", "json"])
def test_an_error_of_dsx_or_of_what_it_calls_propagates(error: Exception, module: str) -> None:
    with pytest.raises(type(error)) as caught, failing_as_trial(FOREIGN):
        FAIL[module](error)
    assert caught.value is error


def test_an_error_of_dsx_that_the_users_code_causes_is_a_failure() -> None:
    call = function_of("mypkg.metrics", "call")
    with pytest.raises(TrialFailed), failing_as_trial(FOREIGN):
        call(FAIL["dsx.measure.x"], ValueError("a"))


@pytest.mark.parametrize(
    ("error", "fails"), [(RuntimeError("a"), True), (ValueError("a"), True), (KeyError("a"), False)]
)
def test_what_torch_raises_in_a_network_of_dsx_is_a_failure(error: Exception, fails: bool) -> None:
    network = Network(error)
    with pytest.raises(TrialFailed if fails else type(error)), failing_as_trial(BUILT_IN):
        network(torch.zeros(1))


def test_a_decorator_of_torch_does_not_make_a_bug_a_failure() -> None:
    decorated = torch.no_grad()(FAIL["dsx.measure.x"])
    with pytest.raises(ValueError, match=r"^a$"), failing_as_trial(BUILT_IN):
        decorated(ValueError("a"))


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] not enough memory: you tried")]
)
def test_memory_that_runs_out_is_a_failure(error: Exception) -> None:
    with pytest.raises(TrialFailed, match=r"^out of memory"), failing_as_trial(BUILT_IN):
        FAIL["dsx.measure.x"](error)


@pytest.mark.parametrize("error", [SpaceError("a"), SQLAlchemyError("a")])
def test_other_errors_of_one_line_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, failing_as_trial(FOREIGN):
        FAIL["mypkg.models"](error)
    assert caught.value is error


def test_of_a_very_long_traceback_the_end_is_kept() -> None:
    with pytest.raises(TrialFailed) as caught, failing_as_trial(FOREIGN):
        FAIL["mypkg.models"](KeyError("x" * 150))
    kept = traceback_of(caught.value, longest=100)
    assert len(kept) == 104 and kept.startswith("...\n") and kept.endswith("x'\n")


def test_a_bug_in_dsx_ends_the_evaluation_with_its_own_error(storage: str) -> None:
    plan, study = created(load_space(STATIC), storage)
    baseline = Evaluator(plan, study, ignore_status)
    assert baseline.evaluate(plan.space.baseline).values.keys() >= {"params", "flops"}

    class Damaged(dict[str, object]):
        def __getitem__(self, name: str) -> object:
            FAIL["dsx.measure.x"](ValueError("a bug"))
            raise AssertionError

    object.__setattr__(plan, "metrics", Damaged(plan.metrics))
    with pytest.raises(ValueError, match=r"^a bug$"):
        Evaluator(plan, study, ignore_status).evaluate(plan.space.baseline)
