"""Check what a backend can do on this machine, before it is asked to."""

import importlib.metadata
import importlib.util
from collections.abc import Sequence

import torch
from torch import Tensor

from dsx.errors import DsxError
from dsx.lookup import find
from dsx.measure.backends._base import Backend
from dsx.space.yaml import Measure


def refusal(measure: Measure) -> tuple[str, str] | None:
    """Say what in the `measure` of a space its backend cannot do on this machine.

    Args:
        measure: As the space says it.

    Returns:
        The key, and what is wrong with its value; None if nothing is.
    """
    refused = _refusal(measure.backend, measure.dtype, measure.device, measure.channels_last)
    if refused is None and measure.device == "cuda" and not torch.cuda.is_available():
        return "device", "torch can use no CUDA device on this machine (allowed here: cpu)"
    return refused


def checked(name: str, sample: Tensor) -> Backend:
    """Find a backend that can run a sample.

    Args:
        name: Of the backend.
        sample: The input.

    Returns:
        The backend.

    Raises:
        DsxError: If there is no such backend, a package is missing, or it cannot do what the
            sample asks of it.
    """
    channels_last = sample.is_contiguous(memory_format=torch.channels_last)
    refused = _refusal(
        name,
        str(sample.dtype).removeprefix("torch."),
        sample.device.type,
        channels_last and not sample.is_contiguous(),
    )
    if refused is not None:
        raise DsxError(f"measure.{refused[0]}: {refused[1]}")
    return find(Backend, name)


def versions(name: str) -> dict[str, str]:
    """Give the versions of the packages that a backend needs, which its numbers depend on.

    Args:
        name: Of the backend.

    Returns:
        By package; empty where torch alone does the work, which is a fact of the device.

    Raises:
        DsxError: If there is no such backend, or a package is missing.
    """
    record = find(Backend, name)
    if missing := _missing(name, record):
        raise DsxError(f"measure.backend: {missing}")
    return {package: importlib.metadata.version(package) for package in sorted(record.needs)}


def _refusal(name: str, dtype: str, device: str, channels_last: bool) -> tuple[str, str] | None:
    try:
        record = find(Backend, name)
    except DsxError as error:
        return "backend", str(error)
    if missing := _missing(name, record) or record.lacks():
        return "backend", missing
    if device not in record.devices:
        return "device", f"the backend {name} runs on {_listed(record.devices)} only, not {device}"
    if dtype not in record.dtypes:
        return "dtype", f"the backend {name} computes in {_listed(record.dtypes)} only, not {dtype}"
    if channels_last and record.own_layout:
        problem = (
            f"the backend {name} lays tensors out by itself, so this does nothing; leave it out"
        )
        return "channels_last", problem
    return None


def _missing(name: str, record: Backend) -> str:
    missing = [package for package in record.needs if importlib.util.find_spec(package) is None]
    if not missing:
        return ""
    extras = ",".join(sorted({record.needs[package] for package in missing}))
    word = "package" if len(missing) == 1 else "packages"
    return f"{name} needs the {word} {_listed(missing)}: pip install 'dsx[{extras}]'"


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
