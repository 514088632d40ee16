"""Results of one study: what is shown and archived of it, wherever it is read from."""

from dataclasses import dataclass

from dsx.analysis import Entry, Front, Measurement
from dsx.store.measurements.readings import load_measurements
from dsx.store.studies.read import load_front
from dsx.store.studies.study import Study


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """The results of one study.

    Attributes:
        front: Front of the study.
        measurements: Measurements behind the front in the order in which they were stored; one that
            counts for several designs is listed for each of them.
        space_text: Content of the space file.
    """

    front: Front
    measurements: tuple[Measurement, ...]
    space_text: str

    def of(self, entry: Entry) -> tuple[Measurement, ...]:
        """Return the measurements of one design of the front.

        Args:
            entry: The design.
        """
        return tuple(each for each in self.measurements if each.design == entry.id)


def load_results(study: Study, mix_devices: bool = False) -> StudyResults:
    """Load the results of a study from a database.

    Args:
        study: The study.
        mix_devices: Whether to include designs that were measured on other devices only.

    Returns:
        The results; a measurement on another device than the one that the values of its design are
        from is left out.

    Raises:
        StorageError: If the study was deleted or is damaged.
    """
    front = load_front(study, mix_devices)
    devices = {entry.id: entry.device for entry in front.entries}
    return StudyResults(
        front=front,
        measurements=tuple(
            each
            for each in load_measurements(study.engine, study.row)
            if devices.get(each.design) == each.device
        ),
        space_text=study.row.space_text,
    )
