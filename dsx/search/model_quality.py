"""Quality of the models by which the designs of a study are screened."""

from dsx.activity import OnStatus, ignore_status
from dsx.analysis import MEASURED
from dsx.errors import WorkFailed
from dsx.search.design.selection import design_of, permitted, study_space
from dsx.search.evaluator import Evaluator
from dsx.search.plan import find_metrics, plan_metrics
from dsx.search.screening.models import ModelQuality
from dsx.search.screening.screening import Screening, can_screen
from dsx.space import SearchSpace
from dsx.store.database import DEFAULT_STORAGE
from dsx.store.studies import Study, load_front


def model_quality(
    study: str | None,
    *,
    storage: str = DEFAULT_STORAGE,
    space: SearchSpace | None = None,
    trust: bool = False,
    on_status: OnStatus = ignore_status,
) -> list[ModelQuality]:
    """Fit the models of screening to the designs of a study, and compare them with measurements.

    Args:
        study: Name of the study; None for the newest study.
        storage: SQLAlchemy URL of the database.
        space: Search space of the study from a file of the user; required (unless `trust` is true)
            if the space names code outside dsx.
        trust: Whether to run code that only the database names.
        on_status: Called with an event before each step.

    Returns:
        The quality of the model of each objective.

    Raises:
        StorageError: If the study cannot be read.
        WorkFailed: If the objectives have no models, or the baseline is not measured.
    """
    found = Study.open(storage, study, writable=True)
    with permitted(space, trust):
        space = study_space(found.row, space)
        plan = plan_metrics(space, find_metrics(space), found.measurements, space.learned)
        if not can_screen(plan):
            raise WorkFailed(
                f"study '{found.row.name}' has no models: nothing is known in advance about its "
                "objectives"
            )
        evaluator = Evaluator(plan, found, on_status)
        baseline = evaluator.recall(space.baseline)
        if baseline.state not in MEASURED:
            raise WorkFailed(f"the baseline of study '{found.row.name}' is not measured yet")
        evaluator.baseline = dict(baseline.values)
        screening = Screening(plan, seed=0)
        screening.add(space.baseline, baseline)
        for entry in load_front(found, mix_devices=True).entries:
            design = design_of(space, entry)
            if design.changed:
                screening.add(design, evaluator.recall(design))
        return screening.quality()
