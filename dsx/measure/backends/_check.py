"""Check of what a backend supports on this machine."""

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dsx.errors import DsxError, Unsupported
from dsx.lookup import find
from dsx.measure.backends._base import Backend
from dsx.measure.backends._forms import no_native_forms
from dsx.space.yaml import Measure


@dataclass(frozen=True)
class UnsupportedSetting(Unsupported):
    """The reason why a backend cannot run a setting of the `measure` section of a space.

    Args:
        key: Key of the setting in the section.
    """

    key: str


def unsupported(measure: Measure) -> UnsupportedSetting | None:
    """Check whether the backend of a space can run its networks on this machine.

    Args:
        measure: The `measure` section of the space.

    Returns:
        The key at fault and what is wrong with its value; None if the backend can run them.
    """
    problem = _unsupported(measure.backend, measure.dtype, measure.device, measure.channels_last)
    if problem is None and measure.device == "cuda" and not torch.cuda.is_available():
        reason = "torch finds no CUDA device on this machine (allowed here: cpu)"
        return UnsupportedSetting(reason, key="device")
    if problem is None and measure.deploy == "native" and (found := no_native_forms(measure)):
        reason = f"native: {found.reason} (allowed here: auto, portable)"
        return UnsupportedSetting(reason, key="deploy")
    return problem


def checked(name: str, sample: Tensor) -> Backend:
    """Load a backend and check that it supports an input.

    Args:
        name: Name of the backend.
        sample: The input.

    Returns:
        The backend.

    Raises:
        DsxError: If there is no such backend, one of its packages is missing, or it does not
            support the dtype, device or layout of the input.
    """
    channels_last = sample.is_contiguous(memory_format=torch.channels_last)
    problem = _unsupported(
        name,
        str(sample.dtype).removeprefix("torch."),
        sample.device.type,
        channels_last and not sample.is_contiguous(),
    )
    if problem is not None:
        raise DsxError(f"measure.{problem.key}: {problem.reason}")
    return find(Backend, name)


def versions(name: str) -> dict[str, str]:
    """Return the versions of the packages of a backend, on which its measurements depend.

    Args:
        name: Name of the backend.

    Returns:
        Version by package, without torch, whose version is a property of the device.

    Raises:
        DsxError: If there is no such backend, or one of its packages is missing.
    """
    record = find(Backend, name)
    if missing := _missing(name, record):
        raise DsxError(f"measure.backend: {missing.reason}")
    return {package: importlib.metadata.version(package) for package in sorted(record.needs)}


def _unsupported(
    name: str, dtype: str, device: str, channels_last: bool
) -> UnsupportedSetting | None:
    try:
        record = find(Backend, name)
    except DsxError as error:
        return UnsupportedSetting(str(error), key="backend")
    if missing := _missing(name, record) or record.unsupported():
        return UnsupportedSetting(missing.reason, key="backend")
    if device not in record.devices:
        problem = f"the backend {name} runs on {_listed(record.devices)} only, not {device}"
        return UnsupportedSetting(problem, key="device")
    if dtype not in record.dtypes:
        problem = f"the backend {name} computes in {_listed(record.dtypes)} only, not {dtype}"
        return UnsupportedSetting(problem, key="dtype")
    if channels_last and record.own_layout:
        problem = f"no effect: the backend {name} chooses the memory layout itself; leave it out"
        return UnsupportedSetting(problem, key="channels_last")
    return None


def _missing(name: str, record: Backend) -> Unsupported | None:
    missing = [package for package in record.needs if importlib.util.find_spec(package) is None]
    if not missing:
        return None
    extras = ",".join(sorted({record.needs[package] for package in missing}))
    word = "package" if len(missing) == 1 else "packages"
    return Unsupported(f"{name} needs the {word} {_listed(missing)}: pip install 'dsx[{extras}]'")


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
