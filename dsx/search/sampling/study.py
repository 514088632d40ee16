"""The Optuna study that samples designs."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from weakref import WeakSet

import optuna
from optuna.trial import Trial, TrialState
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import scoped_session, sessionmaker

from dsx.errors import StorageError, parameter
from dsx.space import Value
from dsx.space.yaml import Direction
from dsx.store.database import creating, display_url, options_for, sqlite_file

STARTUP = 10
"""Number of trials before which TPE samples uniformly."""

_compatible = WeakSet[Engine]()
"""Engines whose tables have the version of Optuna; each check loads all of Optuna's migrations."""


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Restrict the log of Optuna to errors."""
    before = optuna.logging.get_verbosity()
    # A problem that Optuna cannot handle ends as an error, which dsx reports in one line.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


class StudySampler:
    """Samples designs, taking into account the outcomes of earlier trials.

    Args:
        engine: Engine of the database.
        name: Name of the study.
        directions: Direction of each objective.
        seed: Random seed.
        sampler: Name of a sampler of Optuna, one of `SAMPLERS`.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        directions: Mapping[str, Direction],
        seed: int,
        sampler: str = "tpe",
    ) -> None:
        self._objectives = list(directions)
        self._seed = seed
        self._sampler = SAMPLERS[sampler]
        self._is_random = sampler == "random"
        with opened(engine) as rdb:
            self._study = _intact_study(rdb, name, list(directions.values()))
            with warnings.catch_warnings():
                # The names are used only by Optuna's own plots.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study.set_metric_names(self._objectives)

    def enqueue(self, params: Mapping[str, Value]) -> None:
        """Fix parameters of the next trial.

        Args:
            params: Name of a parameter to its option; other parameters are sampled.
        """
        self._study.enqueue_trial(dict(params))

    def ask(self, at_random: bool) -> "SampledTrial":
        """Start a trial.

        Args:
            at_random: Whether to sample uniformly instead of from a model of earlier outcomes, as
                after a repeated design.

        Returns:
            The trial.
        """
        count = len(self._study.get_trials(deepcopy=False))
        # With a constant seed, a resumed study would sample the same designs again.
        seed = int(hashlib.sha256(f"{self._seed}/{count}".encode()).hexdigest()[:8], 16)
        create = SAMPLERS["random"] if at_random else self._sampler
        self._study.sampler = create(seed)
        return SampledTrial(self._study, self._study.ask(), self._objectives)

    @property
    def waiting(self) -> bool:
        """Whether the parameters of the next trial are fixed already."""
        return bool(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    @property
    def starts(self) -> bool:
        """Whether the sampler samples uniformly now, because it knows too few trials."""
        return self._is_random or self.count < STARTUP

    @property
    def count(self) -> int:
        """The number of trials, which is the number of the next trial."""
        return len(self._study.get_trials(deepcopy=False))

    def params(self, number: int) -> dict[str, Value]:
        """Return the parameters of a trial; empty if Optuna does not have the trial.

        Args:
            number: Number of the trial.

        Returns:
            Name of a parameter to its option.
        """
        trials = self._study.get_trials(deepcopy=False)
        return dict(trials[number].params) if number < len(trials) else {}

    def unfinished(self) -> list["SampledTrial"]:
        """Find the trials that an interrupted process left running.

        Returns:
            The trials, which must be closed.
        """
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [
            SampledTrial(self._study, Trial(self._study, trial._trial_id), self._objectives)
            for trial in running
        ]


def _intact_study(
    rdb: optuna.storages.RDBStorage, name: str, directions: list[Direction]
) -> optuna.Study:
    """Open a study, or create it; a damaged study is replaced by an empty one."""
    if name in optuna.get_all_study_names(rdb):
        study = optuna.load_study(study_name=name, storage=rdb)
        if _intact(study, directions):
            return study
        _delete(rdb, name)
    try:
        return optuna.create_study(study_name=name, storage=rdb, directions=directions)
    except optuna.exceptions.DuplicatedStudyError as error:
        raise StorageError(
            f"the database is damaged: the tables of Optuna contain parts of a study '{name}' that "
            "does not exist (use another database)"
        ) from error


def _intact(study: optuna.Study, directions: list[Direction]) -> bool:
    try:
        trials = study.get_trials(deepcopy=False)
        known = [direction.name.lower() for direction in study.directions]
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
        raise
    # Optuna does not validate its tables, so that any error can occur.
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
            f"{problem} (create another study: {parameter('study', 'NAME')})"
        ) from error


def exists(engine: Engine, name: str) -> bool:
    """Check whether the tables of Optuna contain a study.

    Args:
        engine: Engine of the database.
        name: Name of the study.
    """
    with opened(engine) as rdb:
        return name in optuna.get_all_study_names(rdb)


def forget(engine: Engine, name: str) -> None:
    """Delete a study from the tables of Optuna, if it exists.

    Args:
        engine: Engine of the database.
        name: Name of the study.
    """
    with opened(engine) as rdb:
        if name in optuna.get_all_study_names(rdb):
            optuna.delete_study(study_name=name, storage=rdb)


@contextmanager
def opened(engine: Engine) -> Iterator[optuna.storages.RDBStorage]:
    """Open the tables of Optuna in a database; they are created if they do not exist.

    Args:
        engine: Engine of the database.

    Yields:
        The storage of Optuna.

    Raises:
        StorageError: If the tables cannot be used.
    """
    url = engine.url.render_as_string(hide_password=False)
    with creating(engine, sqlite_file(engine.url)):
        try:
            rdb = optuna.storages.RDBStorage(
                url,
                engine_kwargs=options_for(engine.url),
                skip_compatibility_check=engine in _compatible,
            )
        # Raised by Optuna for tables of another version, or without a version.
        except (RuntimeError, AssertionError) as error:
            problem = " ".join(str(error).split()) or "they have no version"
            raise StorageError(
                f"{display_url(engine.url)}: the tables of Optuna cannot be used: {problem}"
            ) from error
        _compatible.add(engine)
        rdb.engine.dispose()
        # Optuna uses the engine of the study, which writes only while the lease is held, and waits
        # for a server that becomes unreachable.
        rdb.engine = engine
        rdb.scoped_session = scoped_session(sessionmaker(bind=engine))
        yield rdb


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        # With `group`, parameters that occur together are sampled jointly. It is marked as
        # experimental, but unchanged since 2021. Without it, conditional parameters would be
        # sampled independently.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


SAMPLERS: Mapping[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "tpe": _tpe,
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}
"""Samplers of Optuna by the name that users give."""


class SampledTrial:
    """One trial of the Optuna study.

    Args:
        study: The study.
        trial: The trial.
        objectives: Names of the objectives in the order of the study.
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
        """The parameters sampled so far."""
        return dict(self._trial.params)

    def suggest(self, name: str, options: Sequence[Value]) -> Value:
        """Sample a parameter.

        Args:
            name: Name of the parameter.
            options: Options of the parameter, which must be the same in every trial.

        Returns:
            The sampled option.
        """
        option = self._trial.suggest_categorical(name, list(options))
        assert option is not None
        return option

    def complete(self, values: Mapping[str, float], violations: Mapping[str, float]) -> None:
        """Report to the sampler that the trial is complete.

        Args:
            values: Values by objective.
            violations: Violations by constraint, positive for violated constraints.
        """
        self._constrain(violations)
        self._study.tell(self._trial, [values[name] for name in self._objectives])

    def prune(self, violations: Mapping[str, float]) -> None:
        """Report to the sampler that some objectives are not measured.

        The design violates a constraint, or is unlikely to be on the front.

        Args:
            violations: Violations by constraint, as far as they are known.
        """
        self._constrain(violations)
        self._study.tell(self._trial, state=TrialState.PRUNED)

    def fail(self) -> None:
        """Report to the sampler that the trial failed."""
        self._study.tell(self._trial, state=TrialState.FAIL)

    def _constrain(self, violations: Mapping[str, float]) -> None:
        for name, violation in violations.items():
            self._trial.set_constraint(name, violation)
