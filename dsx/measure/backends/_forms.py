"""Deployed forms that a backend can run: the resolution of `deploy: auto`."""

from typing import Any

import torch

from dsx.conv.native import missing
from dsx.errors import Unsupported
from dsx.lookup import find
from dsx.measure.backends._base import Backend
from dsx.space import SearchSpace, with_measure_settings
from dsx.space.yaml import Measure


def no_native_forms(measure: Measure) -> Unsupported | None:
    """Check whether networks can be deployed with native forms.

    Args:
        measure: The `measure` section of a space.

    Returns:
        The reason why they cannot; None if they can.

    Raises:
        DsxError: If there is no such backend.
    """
    if not find(Backend, measure.backend).native_forms:
        return Unsupported(f"the backend {measure.backend} cannot run the compiled kernels of dsx")
    return missing(getattr(torch, measure.dtype), torch.device(measure.device))


def _not_automatic(measure: Measure) -> Unsupported | None:
    """Return the reason why native forms are not the default."""
    if measure.device != "cpu":
        where = f"on {measure.device} native forms take part with measure.deploy: native only"
        return Unsupported(where)
    return no_native_forms(measure)


def resolved(measure: Measure) -> Measure:
    """Resolve `deploy: auto` on this machine.

    Args:
        measure: The `measure` section of a space.

    Returns:
        The same settings with `native` or `portable` forms.

    Raises:
        DsxError: If there is no such backend.
    """
    if measure.deploy != "auto":
        return measure
    forms = "native" if _not_automatic(measure) is None else "portable"
    return measure.model_copy(update={"deploy": forms})


def forms_note(measure: Measure) -> str | None:
    """Describe why `deploy: auto` selects portable forms.

    Args:
        measure: The `measure` section of a space.

    Returns:
        Note for the user; None if native forms are used, or the space specifies the forms.

    Raises:
        DsxError: If there is no such backend.
    """
    reason = _not_automatic(measure) if measure.deploy == "auto" else None
    if reason is None:
        return None
    return f"measure.deploy: auto selects portable forms, because {reason.reason}"


def with_other_settings(space: SearchSpace, **settings: Any) -> SearchSpace:
    """Return a copy of a space with other settings of `measure`, and forms that they permit.

    Args:
        space: Search space.
        **settings: Valid values by key of `measure`; None keeps the value of the space.

    Returns:
        The new search space, with `deploy: auto` instead of `native` if the native forms can run
        with the previous settings only.

    Raises:
        DsxError: If there is no such backend, or the network does not run on a single image.
    """
    before, changed = space.file.measure, with_measure_settings(space, **settings)
    after = changed.file.measure
    if after.deploy != "native" or no_native_forms(after) is None:
        return changed
    only_before = no_native_forms(before) is None
    return with_measure_settings(changed, deploy="auto") if only_before else changed
