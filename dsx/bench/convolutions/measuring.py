"""Checking and timing of one case."""

import dataclasses
import functools
import statistics
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dsx.bench._rounds import EFFORT, IDENTITY, Effort, Ratio, Round, time_briefly, time_rounds
from dsx.bench.convolutions.cases import Case
from dsx.bench.convolutions.checks import Gradients, check_outputs, check_steps, step
from dsx.bench.convolutions.contenders import DENSE, MOST_BYTES, OWN, Lineup, line_up
from dsx.bench.convolutions.device_limit import Limit
from dsx.bench.convolutions.operators import Family
from dsx.bench.convolutions.results import LEFT_OUT, SLOWER, TRAINED, UNCHANGED, Result
from dsx.conv import Run, Timer, deploy
from dsx.conv.deploy import Choice, candidates, choose
from dsx.measure.timing import exclusive, lock_name
from dsx.process import torch_threads

REPEATS = 3
"""Number of times that a case which appears to be slower is measured again."""
LEAST_STEPS = 2
"""Least number of rounds of forward and backward passes, for which no interval is needed."""
STEP_SIZE = 3
"""Working set of a forward and a backward pass, relative to that of a forward pass."""
POINTWISE = "3"
"""Name of the 1 x 1 convolution in a block."""
SEED = 0
COMPARED = (OWN, DENSE)
"""Contenders that take part in every round, since the interval of their ratio decides whether a
deployed form is slower than the convolution that it replaces."""

Forward = Callable[[], Tensor]
Step = Callable[[], tuple[Tensor, Gradients]]


@contextmanager
def _prepared(threads: int) -> Iterator[None]:
    """Use a number of threads and fixed weights."""
    with torch.random.fork_rng(), torch_threads(threads):
        torch.manual_seed(SEED)
        yield


def measure(
    case: Case, limit: Limit, form_cache: MutableMapping[str, Choice], effort: Effort = EFFORT
) -> Result:
    """Check the outputs of all contenders of a case, then time them.

    Args:
        case: The case.
        limit: Limits of the device for the number of threads.
        form_cache: Selected deployed forms; a new selection is added.
        effort: Effort of the timing.

    Returns:
        The result. Nothing is timed if the operator keeps the convolution, or if the working set of
        a contender is too large.

    Raises:
        WorkFailed: If an output or a gradient is wrong.
    """
    if case.keeps:
        return _result(case, UNCHANGED, over={DENSE: IDENTITY})
    with _prepared(case.threads), exclusive(lock_name("cpu")):
        lineup = line_up(case.operator, case.layer, case.batch)
        if reason := _too_large(lineup, case.training):
            return _result(case, LEFT_OUT, over={}, share=0.0, skipped=reason)
        if case.training:
            form, rounds = TRAINED, _time_steps(case, lineup, effort)
        else:
            form, rounds = _time_forwards(case, lineup, form_cache, effort)
    others = [name for name in rounds[0] if name != OWN]
    over = {name: Ratio.of(rounds, OWN, name) for name in others}
    if form == DENSE:
        over[DENSE] = IDENTITY
    return _result(
        case,
        form,
        over=over,
        groups=lineup.conv.groups,
        share=lineup.share,
        padding=lineup.padding,
        seconds=statistics.median(each[OWN] for each in rounds),
        limit=0.0 if case.training else limit.seconds(lineup.flops, lineup.size),
    )


def _result(case: Case, form: str, **facts: Any) -> Result:
    return Result(
        family=case.operator.family,
        operator=case.operator.name,
        layer=case.layer.name,
        batch=case.batch,
        threads=case.threads,
        training=case.training,
        form=form,
        **facts,
    )


def _too_large(lineup: Lineup, training: bool) -> str:
    """Return the contenders whose working set is too large; empty if there are none."""
    factor = STEP_SIZE if training else 1
    return ", ".join(
        f"{name}: working set of {contender.size * factor / 2**30:.1f} GiB"
        for name, contender in lineup.contenders.items()
        if contender.size * factor > MOST_BYTES
    )


def _time_forwards(
    case: Case, lineup: Lineup, form_cache: MutableMapping[str, Choice], effort: Effort
) -> tuple[str, list[Round]]:
    """Return the name of the deployed form, and the rounds of the checked forward passes."""
    own, form = _deploy(case, lineup, form_cache)
    runs: dict[str, Forward] = {OWN: functools.partial(own, lineup.x), **_forwards(lineup)}
    check_outputs(case.name, lineup, runs)
    if form == DENSE:
        # Identical, so that a comparison would only show noise.
        runs[OWN] = runs.pop(DENSE)
    with torch.inference_mode():
        rounds: list[Round] = [*time_rounds(runs, effort, COMPARED)]
        return form, [*rounds, *_repeated_if_slower(runs, rounds, effort)]


def _forwards(lineup: Lineup) -> dict[str, Forward]:
    """Return the forward pass of each contender."""
    return {
        name: functools.partial(contender.module, contender.input(lineup.x))
        for name, contender in lineup.contenders.items()
    }


def _deploy(
    case: Case, lineup: Lineup, form_cache: MutableMapping[str, Choice], timer: Timer = time_briefly
) -> tuple[nn.Module, str]:
    """Return the fastest deployed form, with native kernels, and its name."""
    with torch.no_grad():
        if case.operator.family is Family.BLOCK:
            deployed = deploy(lineup.module, lineup.x, timer, form_cache, native=True)
            return deployed, deployed.choices[POINTWISE].form
        module, choice = choose(lineup.conv.eval(), lineup.x, timer, form_cache, native=True)
        return module, choice.form


def _repeated_if_slower(
    runs: Mapping[str, Run], rounds: Sequence[Round], effort: Effort
) -> list[Round]:
    """Return further rounds of a form that appears slower than the convolution it replaces."""
    if DENSE not in runs:
        return []
    low = Ratio.of(rounds, OWN, DENSE).low
    if low is not None and low <= SLOWER:
        return []
    pair = {name: runs[name] for name in COMPARED}
    return [each for _ in range(REPEATS) for each in time_rounds(pair, effort, COMPARED)]


def _time_steps(case: Case, lineup: Lineup, effort: Effort) -> list[Round]:
    """Return the rounds of the checked forward and backward passes."""
    gradient, runs = _steps(lineup)
    check_steps(case.name, lineup, gradient, runs)
    fewer = dataclasses.replace(effort, least=min(effort.least, LEAST_STEPS))
    return [*time_rounds(runs, fewer, COMPARED)]


def _steps(lineup: Lineup) -> tuple[Tensor, dict[str, Step]]:
    """Return the gradient of the output, and the pass of each contender with it."""
    x, geometry = lineup.x, lineup.conv.geometry
    out_hw = geometry.out_hw(x.shape[2], x.shape[3])
    gradient = torch.randn(len(x), geometry.out_channels, *out_hw)
    runs: dict[str, Step] = {
        OWN: functools.partial(step, lineup.module, x.detach().requires_grad_(), gradient)
    }
    for name, contender in lineup.contenders.items():
        own_x = contender.input(x).detach().requires_grad_()
        runs[name] = functools.partial(step, contender.module, own_x, contender.input(gradient))
    return gradient, runs


def check(case: Case) -> int:
    """Check every deployed form and every contender of a case, and time nothing.

    Args:
        case: The case.

    Returns:
        The number of checked outputs and gradients; 0 if the operator keeps the convolution.

    Raises:
        WorkFailed: If an output or a gradient is wrong.
    """
    if case.keeps:
        return 0
    with _prepared(case.threads):
        lineup = line_up(case.operator, case.layer, case.batch)
        if case.training:
            return check_steps(case.name, lineup, *_steps(lineup))
        if case.operator.family is Family.BLOCK:
            forms = {OWN: _deploy(case, lineup, {}, _untimed)[0]}
        else:
            with torch.no_grad():
                # A form may have the name of a contender.
                built = candidates(lineup.conv.eval(), native=True)
            forms = {f"form {name}": module for name, module in built.items()}
        runs = {name: functools.partial(module, lineup.x) for name, module in forms.items()}
        return check_outputs(case.name, lineup, runs | _forwards(lineup))


def _untimed(runs: Sequence[Run], seconds: float) -> list[float]:
    return [0.0] * len(runs)
