"""Results of one study, which are shown and archived."""

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
        measurements: Measurements of the designs of the front in the order in which they were
            stored; a measurement of several designs is listed for each of them.
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
        The results, with the measurements of each design on the device whose readings are used.

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
