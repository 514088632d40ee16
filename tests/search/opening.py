"""Studies that are created or opened as by a command."""

from dsx.measure import this_device
from dsx.search.plan import Plan, make_plan
from dsx.search.resume import create_or_resume
from dsx.space import SearchSpace
from dsx.space.space import build_space
from dsx.store.database.engine import open_database
from dsx.store.measurements.measurements import MeasurementStore
from dsx.store.studies.study import Study


def created(space: SearchSpace, storage: str, name: str = "s") -> tuple[Plan, Study]:
    """Create a study without trials, or open it if it exists."""
    measurements = MeasurementStore(open_database(storage, create=True), this_device())
    plan = make_plan(space, measurements)
    return plan, planned(plan, storage, measurements, name)


def planned(plan: Plan, storage: str, measurements: MeasurementStore, name: str = "s") -> Study:
    """Create a study with a plan."""
    engine = measurements.engine
    row = create_or_resume(name, plan, measurements, seed=0, engine=engine)
    return Study.of(engine, storage, row, measurements)


def reopened(storage: str, name: str) -> tuple[Plan, Study]:
    """Open a study for writing."""
    study = Study.open(storage, name, writable=True)
    space = build_space(name, name, study.row.space_text)
    return make_plan(space, study.measurements), study
