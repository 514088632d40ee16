"""Candidates that share the form cache and the reference times of a device."""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsx.activity import Event, Kind, OnStatus
from dsx.conv.deploy import Choice
from dsx.measure import Candidate
from dsx.space import Design, SearchSpace
from dsx.store.studies import Study

Stop = Callable[[Sequence[float]], bool]
"""Function from the losses of the first epochs of a training to whether it stops."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Builds candidates for measurement.

    Args:
        form_cache: Deployed forms by situation; newly selected ones are stored in the database.
        reference_times: Reference times in milliseconds by situation; new ones are stored likewise.
        on_lock_wait: Called if another process holds the device lock.
    """

    form_cache: MutableMapping[str, Choice]
    reference_times: MutableMapping[str, float]
    on_lock_wait: Callable[[], None]

    @classmethod
    def of_study(cls, study: Study, on_status: OnStatus) -> "Candidates":
        """Return a builder that uses the form cache and the reference times of a study.

        Args:
            study: The study.
            on_status: Called with an event if another process holds the device lock.
        """
        return cls(
            form_cache=study.form_cache,
            reference_times=study.reference_times,
            on_lock_wait=lock_wait(on_status),
        )

    def build(
        self,
        space: SearchSpace,
        design: Design,
        checkpoint: Path | None = None,
        stop: Stop | None = None,
    ) -> Candidate:
        """Build the candidate of a design.

        Args:
            space: Search space, which specifies how the design is measured.
            design: Design of the network of the space.
            checkpoint: Checkpoint file of the training, which is resumed if the file exists.
            stop: Function from the losses of the first epochs to whether the training stops.

        Returns:
            The candidate.
        """
        return Candidate(
            space,
            design,
            self.form_cache,
            checkpoint=checkpoint,
            reference_times=self.reference_times,
            on_lock_wait=self.on_lock_wait,
            stop=stop,
        )


def lock_wait(on_status: OnStatus) -> Callable[[], None]:
    """Return a function that reports that another process holds the device lock.

    Args:
        on_status: Called with the event.
    """
    return lambda: on_status(Event(kind=Kind.WAITING_FOR_DEVICE))
