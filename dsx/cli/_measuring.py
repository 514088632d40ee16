"""Options and steps shared by the commands that measure one design."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dsx.cli._options import PICK_HELP, permitted_space
from dsx.errors import DsxError, quoted

if TYPE_CHECKING:
    from dsx.cli._request import Request


class Dtype(StrEnum):
    """The floating-point types in which a network can be run."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BFLOAT16 = "bfloat16"


class DeviceName(StrEnum):
    """The devices on which a network can be run."""

    CPU = "cpu"
    CUDA = "cuda"


Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SPACE PATTERN=SETTING",
        help="Search space (name of a shipped space or path of a space file; default: digits), "
        "followed by settings of slots; without settings, the baseline is measured. PATTERN is a "
        "slot, a module that contains slots, or a wildcard. SETTING is keep, a preset, dials, or a "
        "preset and dials, separated by commas: stages.0=keep stages.1.conv1=depthwise "
        "stages.2=scc,groups:2,overlap:0.5 layer1=kernel_shape:cross,groups:4 "
        "'layer2.*=scc(groups=2)'. If several settings match a slot, the last one applies.",
    ),
]
StudyOption = Annotated[
    str | None, typer.Option(help="Name of the study whose design is measured, instead of a space.")
]
PickOption = Annotated[
    str | None,
    typer.Option(help=f"{PICK_HELP} Without --study: in the newest study.  [default: knee]"),
]
TrainOption = Annotated[
    bool,
    typer.Option(
        "--train", help="Train the design for metrics that require it; the weights are not kept."
    ),
]
FreshOption = Annotated[
    bool,
    typer.Option("--fresh", help="Repeat measurements that are in the database; both are kept."),
]
BatchOption = Annotated[
    int | None, typer.Option(help="Batch size.  [default: that of the space]", min=1, max=65536)
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(help="Number of threads.  [default: that of the space]", min=1, max=1024),
]
DtypeOption = Annotated[
    Dtype | None, typer.Option(help="Data type of the network.  [default: that of the space]")
]
LayoutOption = Annotated[
    bool | None,
    typer.Option(
        "--channels-last/--no-channels-last",
        help="Memory format of tensors.  [default: that of the space]",
    ),
]
DeviceOption = Annotated[
    DeviceName | None,
    typer.Option(help="Device that runs the network.  [default: that of the space]"),
]


def run_settings(
    batch: int | None,
    threads: int | None,
    dtype: Dtype | None,
    channels_last: bool | None,
    device: DeviceName | None,
) -> dict[str, object]:
    """Return the keys of `measure` that options override.

    Args:
        batch: Batch size.
        threads: Number of threads.
        dtype: Data type of the network.
        channels_last: Whether tensors have the memory format channels_last.
        device: Device that runs the network.

    Returns:
        Key to value; None for the value of the space.
    """
    return {
        "batch": batch,
        "threads": threads,
        "dtype": None if dtype is None else dtype.value,
        "channels_last": channels_last,
        "device": None if device is None else device.value,
    }


def find_design(
    words: Sequence[str],
    study: str | None,
    pick: str | None,
    storage: str,
    space: str | None,
    trust: bool,
    settings: dict[str, object],
    patience: float,
) -> "Request":
    """Find the design that a command line specifies, and print the notes about it.

    Args:
        words: Name or path of the space, if any, followed by settings of slots.
        study: Name of the study of the design; None for a design of a space.
        pick: Pick of the design of the study; None for its knee.
        storage: URL of the database.
        space: Name or path of the space; with a study, the user's own file of its space.
        trust: Whether to run any code that the stored space of the study imports.
        settings: Keys of `measure` to their values; None for the value of the space.
        patience: Seconds to wait for a database server that becomes unreachable.

    Returns:
        The request to measure the design.

    Raises:
        DsxError: If there is no such design, or the space is named twice.
    """
    name, dials = _parsed(words)
    space = _named_space(name, space)
    from dsx.cli._request import baseline_of, request, study_design
    from dsx.report.front import print_message
    from dsx.report.text import working

    # Output of the network's own code is not a result.
    with working("reading the space"), redirect_stdout(sys.stderr):
        if study is None and pick is None:
            base = baseline_of(space or "digits", dials)
        else:
            own = permitted_space(space, trust)
            base = study_design(study, pick, dials, storage, own, trust, patience)
        found = request(base, dials, settings)
    for note in found.notes:
        print_message(note)
    return found


def _parsed(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Split the words into the name of a space, if any, and the settings of slots."""
    named = bool(words) and "=" not in words[0]
    return (words[0], words[1:]) if named else (None, words)


def _named_space(word: str | None, option: str | None) -> str | None:
    """Return the space, which can be named by position or by option.

    Raises:
        DsxError: If both are given: they state the same thing, so one of them is a mistake.
    """
    if word is not None and option is not None:
        raise DsxError(f"--space: the space is given twice: {quoted(word)} and {quoted(option)}")
    return option if word is None else word
