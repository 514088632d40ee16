"""Store: the Optuna side of a study. The only importer of optuna."""

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import optuna
from optuna.trial import Trial, TrialState
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import scoped_session, sessionmaker

from dsx.errors import StorageError, parameter
from dsx.space import Value
from dsx.space.yaml import Direction
from dsx.store.database import creating, display_url, options_for, sqlite_file


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Let Optuna log errors only."""
    before = optuna.logging.get_verbosity()
    # What it warns about and cannot handle itself ends as an error, which dsx reports in one line.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


class StudySampler:
    """Draws designs, and is told what became of them.

    Args:
        engine: The database.
        name: Of the study.
        directions: "minimize" or "maximize" by objective.
        seed: Of the draws.
    """

    def __init__(
        self, engine: Engine, name: str, directions: Mapping[str, Direction], seed: int
    ) -> None:
        self._objectives = list(directions)
        self._seed = seed
        with opened(engine) as rdb:
            self._study = _intact_study(rdb, name, list(directions.values()))
            with warnings.catch_warnings():
                # Only names for Optuna's own plots: should it ever go, nothing here depends on it.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study.set_metric_names(self._objectives)

    def enqueue(self, params: Mapping[str, Value]) -> None:
        """Make the next draw give these options.

        Args:
            params: Option by parameter name; what is left out is drawn.
        """
        self._study.enqueue_trial(dict(params))

    def ask(self, at_random: bool) -> "SampledTrial":
        """Begin a trial.

        Args:
            at_random: Draw without regard to what is known, as after a repetition.

        Returns:
            The draw, to be asked for options and then told its end.
        """
        drawn = len(self._study.get_trials(deepcopy=False))
        # The same seed again would draw the same designs again after a resume.
        seed = int(hashlib.sha256(f"{self._seed}/{drawn}".encode()).hexdigest()[:8], 16)
        self._study.sampler = optuna.samplers.RandomSampler(seed) if at_random else _tpe(seed)
        return SampledTrial(self._study, self._study.ask(), self._objectives)

    @property
    def count(self) -> int:
        """The number of trials, and of the next one."""
        return len(self._study.get_trials(deepcopy=False))

    def params(self, number: int) -> dict[str, Value]:
        """Return the options of a trial, as far as Optuna knows them.

        Args:
            number: Number of the trial.
        """
        trials = self._study.get_trials(deepcopy=False)
        return dict(trials[number].params) if number < len(trials) else {}

    def unfinished(self) -> list["SampledTrial"]:
        """Find the trials that a stopped process left running.

        Returns:
            The draws, to be told their end.
        """
        left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [
            SampledTrial(self._study, Trial(self._study, trial._trial_id), self._objectives)
            for trial in left
        ]


def _intact_study(
    rdb: optuna.storages.RDBStorage, name: str, directions: list[Direction]
) -> optuna.Study:
    """Open a study, or create it; one that somebody has damaged is created again, empty."""
    if name in optuna.get_all_study_names(rdb):
        study = optuna.load_study(study_name=name, storage=rdb)
        if _intact(study, directions):
            return study
        _delete(rdb, name)
    try:
        return optuna.create_study(study_name=name, storage=rdb, directions=directions)
    except optuna.exceptions.DuplicatedStudyError as error:
        raise StorageError(
            f"the database is damaged: the tables of Optuna hold parts of a study '{name}' that is "
            "not there (use another database)"
        ) from error


def _intact(study: optuna.Study, directions: list[Direction]) -> bool:
    try:
        trials = study.get_trials(deepcopy=False)
        known = [direction.name.lower() for direction in study.directions]
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
        raise
    # Optuna trusts its own tables: on other values it fails anywhere.
    except Exception:
        return False
    return (
        known == directions
        and [trial.number for trial in trials] == list(range(len(trials)))
        and all(
            trial.values is not None and len(trial.values) == len(directions)
            for trial in trials
            if trial.state == TrialState.COMPLETE
        )
    )


def _delete(rdb: optuna.storages.RDBStorage, name: str) -> None:
    try:
        optuna.delete_study(study_name=name, storage=rdb)
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
        raise
    except Exception as error:
        problem = " ".join(str(error).split())
        raise StorageError(
            f"the database is damaged: Optuna can neither read nor delete its study '{name}': "
            f"{problem} (begin another study: {parameter('study', 'NAME')})"
        ) from error


def exists(engine: Engine, name: str) -> bool:
    """Check whether Optuna's tables have a study of a name.

    Args:
        engine: The database.
        name: Name of the study.
    """
    with opened(engine) as rdb:
        return name in optuna.get_all_study_names(rdb)


def forget(engine: Engine, name: str) -> None:
    """Forget all draws of a study.

    Args:
        engine: The database.
        name: Of the study; it need not be there.
    """
    with opened(engine) as rdb:
        if name in optuna.get_all_study_names(rdb):
            optuna.delete_study(study_name=name, storage=rdb)


@contextmanager
def opened(engine: Engine) -> Iterator[optuna.storages.RDBStorage]:
    """Open Optuna's part of a database; its tables are created if they do not exist."""
    url = engine.url.render_as_string(hide_password=False)
    with creating(engine, sqlite_file(engine.url)):
        try:
            rdb = optuna.storages.RDBStorage(url, engine_kwargs=options_for(engine.url))
        # So Optuna refuses tables of another version, or tables without one.
        except (RuntimeError, AssertionError) as error:
            problem = " ".join(str(error).split()) or "they have no version"
            raise StorageError(
                f"{display_url(engine.url)}: the tables of Optuna cannot be used: {problem}"
            ) from error
        rdb.engine.dispose()
        # All that Optuna writes goes through the engine of the study: it writes only while the
        # lease is held, and waits for a server that has gone away.
        rdb.engine = engine
        rdb.scoped_session = scoped_session(sessionmaker(bind=engine))
        yield rdb


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        # group: parameters that only matter together are sampled together. Experimental by name,
        # unchanged since 2021, and without it conditional parameters are sampled independently.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


class SampledTrial:
    """One trial of the Optuna study.

    Args:
        study: The study.
        trial: The trial.
        objectives: Their names, in the study's order.
    """

    def __init__(self, study: optuna.Study, trial: Trial, objectives: Sequence[str]) -> None:
        self._study = study
        self._trial = trial
        self._objectives = objectives

    @property
    def number(self) -> int:
        """Number of the trial, from 0."""
        return self._trial.number

    @property
    def params(self) -> dict[str, Value]:
        """The options drawn so far."""
        return dict(self._trial.params)

    def pick(self, name: str, options: Sequence[Value]) -> Value:
        """Draw one of several options.

        Args:
            name: Of the parameter.
            options: The same ones every time.

        Returns:
            The option.
        """
        picked = self._trial.suggest_categorical(name, list(options))
        assert picked is not None
        return picked

    def complete(self, values: Mapping[str, float], violations: Mapping[str, float]) -> None:
        """Tell the sampler that a design was measured to the end.

        Args:
            values: By objective.
            excesses: By constraint; positive where it is broken.
        """
        self._constrain(violations)
        self._study.tell(self._trial, [values[name] for name in self._objectives])

    def reject(self, violations: Mapping[str, float]) -> None:
        """Tell the sampler that a design broke a constraint before it was worth measuring more.

        Args:
            excesses: By constraint, as far as they are known.
        """
        self._constrain(violations)
        self._study.tell(self._trial, state=TrialState.PRUNED)

    def fail(self) -> None:
        """Tell the sampler that nothing can be learnt from this draw."""
        self._study.tell(self._trial, state=TrialState.FAIL)

    def _constrain(self, violations: Mapping[str, float]) -> None:
        for name, violation in violations.items():
            self._trial.set_constraint(name, violation)
