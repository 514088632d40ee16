"""The search loop: sample a design, evaluate it, store the results, and tell the sampler."""

import time
from collections.abc import Callable
from pathlib import Path

from dsx.analysis import Front
from dsx.errors import DsxError, parameter, unknown
from dsx.measure import this_device
from dsx.plain import plain
from dsx.process import torch_threads
from dsx.search.plan import Plan, make_plan
from dsx.search.resume import create_or_resume, with_stored_forms
from dsx.search.run import FinalTiming, Progress, Report, Run, Settings
from dsx.search.sampling.study import SAMPLERS, quiet_optuna
from dsx.search.screening.screening import can_screen
from dsx.space import SearchSpace, load_space
from dsx.store.database import (
    DEFAULT_STORAGE,
    SERVER_SECONDS,
    connection_lost,
    one_line_errors,
    open_database,
)
from dsx.store.lease import Lease, claim
from dsx.store.measurements import MeasurementStore
from dsx.store.studies import Study, check_study_name, load_front, load_study
from dsx.trust import restricted

__all__ = ["SAMPLER_NAMES", "FinalTiming", "Progress", "Report", "search"]

MAX_TRIALS, MAX_SEED = 1_000_000, 2**32 - 1
MAX_RESUMES = 100
"""Largest number of broken connections; with more of them, the database has another problem."""
SCREENING = "screening"
SAMPLER_NAMES = (SCREENING, *SAMPLERS)
"""Samplers that a user can select."""
DEFAULT_FINAL_TIMING = FinalTiming()


def search(
    space: str | Path | SearchSpace,
    *,
    study: str | None = None,
    trials: int = 60,
    seed: int = 0,
    storage: str = DEFAULT_STORAGE,
    timeout: float | None = None,
    mix_devices: bool = False,
    storage_timeout: float = SERVER_SECONDS,
    adopt: bool = False,
    report: Report | None = None,
    final_timing: FinalTiming = DEFAULT_FINAL_TIMING,
    sampler: str | None = None,
) -> Front:
    """Run or resume a study until the requested number of trials is complete.

    Args:
        space: Name of a shipped search space, path of a space file, or a loaded search space.
        study: Name of the study; by default the name of the space.
        trials: Number of measured designs, including the baseline and previous runs.
        seed: Random seed of the sampler.
        storage: SQLAlchemy URL of the database.
        timeout: Time in seconds after which no new trial starts; None for no limit.
        mix_devices: Whether to resume a study that was created on another device, and to include
            the measurements of all devices.
        storage_timeout: Seconds to wait for a database server that becomes unreachable.
        adopt: Whether to add the tables of dsx to a database of Optuna or of another program.
        report: Function that receives the progress before each step.
        final_timing: Limits of the repetition of flagged timings at the end.
        sampler: One of `SAMPLER_NAMES`; None for `screening` where an objective is known before it
            is measured, otherwise `tpe`.

    Returns:
        The front.

    Raises:
        SpaceError: If the search space is invalid.
        StorageError: If the database cannot be opened, another process runs the study, or the
            study was created with another search space or on another device.
        WorkFailed: If the baseline cannot be measured, or the database fails.
    """
    trials, seed, timeout = plain((trials, seed, timeout))
    _check(study, trials, seed, sampler)
    loaded = space if isinstance(space, SearchSpace) else load_space(space)
    name = loaded.name if study is None else study
    advice = f"choose another: {parameter('study', 'NAME')}"
    check_study_name(name, f" (the name of the space; {advice})")
    engine = open_database(storage, True, storage_timeout, adopt)
    measurements = MeasurementStore(engine, this_device())
    end = None if timeout is None else time.monotonic() + timeout
    with (
        torch_threads(loaded.file.measure.threads),
        quiet_optuna(),
        restricted(loaded.imports),
        one_line_errors(storage),
        claim(engine, name) as lease,
    ):
        loaded = with_stored_forms(loaded, load_study(engine, name))
        plan = make_plan(loaded, measurements)
        row = create_or_resume(name, plan, measurements, seed, mix_devices, engine=lease.engine)
        opened = Study.of(lease.engine, storage, row, measurements)
        settings = Settings(
            seed=seed,
            trials=trials,
            end=end,
            final_timing=final_timing,
            sampler=_sampler(plan, sampler),
        )
        report = report or (lambda progress: None)
        _resume_if_lost(lambda: Run(opened, plan, lease, settings, report), lease)
        return load_front(opened, mix_devices)


def _sampler(plan: Plan, name: str | None) -> str:
    """Return the sampler of a search."""
    if name is not None:
        return name
    return SCREENING if can_screen(plan) else next(iter(SAMPLERS))


def _check(study: str | None, trials: int, seed: int, sampler: str | None) -> None:
    if sampler is not None and sampler not in SAMPLER_NAMES:
        raise DsxError(unknown(parameter("sampler"), sampler, SAMPLER_NAMES))
    if study is not None:
        check_study_name(study)
    if not 1 <= trials <= MAX_TRIALS:
        raise DsxError(f"{parameter('trials')}: {trials} (allowed: 1 to {MAX_TRIALS})")
    if not 0 <= seed <= MAX_SEED:
        raise DsxError(f"{parameter('seed')}: {seed} (allowed: 0 to {MAX_SEED})")


def _resume_if_lost(resume: Callable[[], Run], lease: Lease) -> None:
    """Run a study; if the connection to its server breaks, resume it as after a crash."""
    for last in (False,) * (MAX_RESUMES - 1) + (True,):
        try:
            resume().run()
        except Exception as error:
            if last or not connection_lost(error):
                # If another process runs the study, that is the reason.
                lease.check()
                raise
        else:
            return
