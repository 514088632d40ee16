"""Checking and timing of one case."""

import functools
import statistics
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dsx.bench._rounds import EFFORT, IDENTITY, Effort, Ratio, time_rounds
from dsx.bench.convolutions.cases import Case
from dsx.bench.convolutions.checks import (
    Reference,
    check_gradients,
    check_output,
    check_outputs,
    step_gradients,
)
from dsx.bench.convolutions.contenders import (
    COMPOSITION,
    DENSE,
    MOST_BYTES,
    OWN,
    Contender,
    Lineup,
    line_up,
)
from dsx.bench.convolutions.device_limit import Limit
from dsx.bench.convolutions.operators import Family
from dsx.bench.convolutions.results import SLOWER, TRAINED, Result
from dsx.conv import Run, Timer, deploy, medians
from dsx.conv.deploy import Choice, candidates, choose
from dsx.measure.timing import exclusive, lock_name
from dsx.process import torch_threads

REPEATS = 3
"""Number of times that a case which appears to be slower is measured again."""
STEP_SIZE = 3
"""Working set of a forward and a backward pass, relative to that of a forward pass."""
POINTWISE = "3"
"""Name of the 1 x 1 convolution in a block."""
SEED = 0


@contextmanager
def _prepared(threads: int) -> Iterator[None]:
    """Use a number of threads and fixed weights, and hold the device lock."""
    with torch.random.fork_rng(), torch_threads(threads), exclusive(lock_name("cpu")):
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
        The result. An operator that keeps the convolution is not timed.

    Raises:
        WorkFailed: If an output or a gradient is wrong.
    """
    if case.keeps:
        return _result(case, "unchanged", over={DENSE: IDENTITY})
    with _prepared(case.threads):
        lineup = line_up(case.operator, case.layer, case.batch)
        fitting, skipped = _split_by_size(lineup, case.training)
        if case.training:
            form, runs = TRAINED, _steps(case, lineup, fitting)
            samples = time_rounds(runs, effort)
        else:
            form, runs = _forwards(case, lineup, fitting, form_cache)
            with torch.inference_mode():
                samples = time_rounds(runs, effort)
                _repeat_if_slower(runs, samples, effort)
    over = {name: Ratio.of(samples[OWN], times) for name, times in samples.items() if name != OWN}
    if form == DENSE:
        over.setdefault(DENSE, IDENTITY)
    return _result(
        case,
        form,
        over=over,
        skipped=skipped,
        groups=lineup.conv.groups,
        share=lineup.share,
        seconds=statistics.median(samples[OWN]),
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


def _split_by_size(lineup: Lineup, training: bool) -> tuple[dict[str, Contender], dict[str, str]]:
    """Return the contenders whose working set fits, and the reasons for leaving out the others."""
    fitting, skipped = {}, {}
    for name, contender in lineup.contenders.items():
        size = contender.size * (STEP_SIZE if training else 1)
        if size <= MOST_BYTES:
            fitting[name] = contender
        else:
            skipped[name] = f"working set of {size / 2**30:.1f} GiB"
    return fitting, skipped


def _forwards(
    case: Case,
    lineup: Lineup,
    contenders: Mapping[str, Contender],
    form_cache: MutableMapping[str, Choice],
) -> tuple[str, dict[str, Run]]:
    """Return the name of the deployed form, and the checked forward passes."""
    own, form = _deploy(case, lineup, form_cache)
    check_outputs(case.name, lineup.x, {OWN: own}, contenders)
    runs: dict[str, Run] = {OWN: functools.partial(own, lineup.x)}
    for name, contender in contenders.items():
        runs[name] = functools.partial(contender.module, contender.input(lineup.x))
    if form == DENSE:
        # Identical, so that a comparison would only show noise.
        runs[OWN] = runs.pop(DENSE)
    return form, runs


def _deploy(
    case: Case, lineup: Lineup, form_cache: MutableMapping[str, Choice], timer: Timer = medians
) -> tuple[nn.Module, str]:
    """Return the fastest deployed form, with native kernels, and its name."""
    with torch.no_grad():
        if case.operator.family is Family.BLOCK:
            deployed = deploy(lineup.module, lineup.x, timer, form_cache, native=True)
            return deployed, deployed.choices[POINTWISE].form
        module, choice = choose(lineup.conv.eval(), lineup.x, timer, form_cache, native=True)
        return module, choice.form


def _repeat_if_slower(
    runs: Mapping[str, Run], samples: dict[str, list[float]], effort: Effort
) -> None:
    """Measure a case again that appears to be slower than the convolution it replaces."""
    if DENSE not in runs or Ratio.of(samples[OWN], samples[DENSE]).low <= SLOWER:
        return
    pair = {name: runs[name] for name in (OWN, DENSE)}
    count = len(samples[DENSE])
    # The others keep their rounds, which come first.
    repeated = [time_rounds(pair, effort) for _ in range(REPEATS)]
    for name in pair:
        samples[name] = samples[name][:count] + [t for again in repeated for t in again[name]]


def _steps(case: Case, lineup: Lineup, contenders: Mapping[str, Contender]) -> dict[str, Run]:
    """Return the checked forward and backward passes."""
    x = lineup.x.requires_grad_()
    reference = Reference(lineup.conv)
    expected = reference(x).detach()
    gradient = torch.randn_like(expected)
    gradients = step_gradients(reference, x, gradient)
    runs: dict[str, Run] = {OWN: functools.partial(step_gradients, lineup.module, x, gradient)}
    for name, contender in contenders.items():
        own_x = contender.input(x.detach()).requires_grad_()
        own_gradient = contender.input(gradient)
        runs[name] = functools.partial(step_gradients, contender.module, own_x, own_gradient)
    equal = {OWN: lineup.module}
    if COMPOSITION in contenders:
        equal[COMPOSITION] = contenders[COMPOSITION].module
    for name, module in equal.items():
        check_output(case.name, name, module(x).detach(), expected)
        check_gradients(case.name, name, step_gradients(module, x, gradient), gradients)
    return runs


def check(case: Case) -> int:
    """Check every deployed form and every contender of a case, and time nothing.

    Args:
        case: The case.

    Returns:
        The number of modules whose outputs were checked.

    Raises:
        WorkFailed: If an output or a gradient is wrong.
    """
    if case.keeps:
        return 0
    with _prepared(case.threads):
        lineup = line_up(case.operator, case.layer, case.batch)
        if case.training:
            return len(_steps(case, lineup, lineup.contenders))
        if case.operator.family is Family.BLOCK:
            forms = {OWN: _deploy(case, lineup, {}, _untimed)[0]}
        else:
            with torch.no_grad():
                forms = candidates(lineup.conv.eval(), native=True)
        return check_outputs(case.name, lineup.x, forms, lineup.contenders)


def _untimed(runs: Sequence[Run], seconds: float) -> list[float]:
    return [0.0] * len(runs)
