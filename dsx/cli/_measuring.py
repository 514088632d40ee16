"""Options and steps that the commands for one design share."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dsx.cli._options import vouched
from dsx.errors import DsxError, quoted

if TYPE_CHECKING:
    from dsx.cli._single import Asked


class Dtype(StrEnum):
    """What the network computes in."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BFLOAT16 = "bfloat16"


class Place(StrEnum):
    """Where it runs."""

    CPU = "cpu"
    CUDA = "cuda"


Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SPACE PATTERN=SETTING",
        help="A shipped space or the path of a space file (default: digits), then the dials of a "
        "design of it; none: the baseline. PATTERN is a slot, a module that holds slots, or a "
        "wildcard. SETTING is keep, or a preset, dials, or both, between commas: stages.0=keep "
        "stages.1.conv1=depthwise stages.2=scc,groups:2,overlap:0.5 "
        "layer1=kernel_shape:cross,groups:4 'layer2.*=scc(groups=2)'. The last one that has a slot "
        "says all about it.",
    ),
]
StudyOption = Annotated[
    str | None, typer.Option(help="Measure a design of this study; needs no space.")
]
PickOption = Annotated[
    str | None,
    typer.Option(help="Which design of the study, as for dsx export.  [default: knee]"),
]
TrainOption = Annotated[
    bool, typer.Option("--train", help="Train the design for what needs it; keeps no weights.")
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Measure again what is in the database; both are kept.")
]
BatchOption = Annotated[int | None, typer.Option(help="Images at a time.", min=1, max=65536)]
ThreadsOption = Annotated[int | None, typer.Option(help="Threads that it uses.", min=1, max=1024)]
DtypeOption = Annotated[Dtype | None, typer.Option(help="What it computes in.")]
LayoutOption = Annotated[
    bool | None,
    typer.Option("--channels-last/--no-channels-last", help="Layout of its tensors."),
]
DeviceOption = Annotated[Place | None, typer.Option(help="Where it runs.")]


def run_settings(
    batch: int | None,
    threads: int | None,
    dtype: Dtype | None,
    channels_last: bool | None,
    device: Place | None,
) -> dict[str, object]:
    """Return the keys of `measure` that options set; None for the value of the space."""
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
) -> "Asked":
    """Find the design that a command line names, and print the notes about it.

    Args:
        words: The space, if it is named, and settings of dials.
        study: Name of the study of the design; None for a design of a space.
        pick: Which design of the study; None for its knee.
        storage: URL of the database.
        space: The user's own space file of the study.
        trust: Whether code that only the database names may run.
        settings: Keys of `measure` and their values; None for the value of the space.
        patience: Seconds to wait for a database server that becomes unreachable.

    Returns:
        The design and its space.

    Raises:
        DsxError: If there is no such design, or an option does not apply.
    """
    name, dials = _parsed(words)
    space = _named_space(name, space)
    from dsx.cli._single import asked, chosen, start_of
    from dsx.report.front import print_message
    from dsx.report.text import working

    # The output of the network's own code is not a result.
    with working("reading the space"), redirect_stdout(sys.stderr):
        if study is None and pick is None:
            base = start_of(space or "digits", dials)
        else:
            base = chosen(study, pick, dials, storage, vouched(space, trust), trust, patience)
        found = asked(base, dials, settings)
    for note in found.notes:
        print_message(note)
    return found


def _parsed(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Split the words into the name of a space, if one is given, and the dials after it."""
    named = bool(words) and "=" not in words[0]
    return (words[0], words[1:]) if named else (None, words)


def _named_space(word: str | None, option: str | None) -> str | None:
    """Return the space, which can be named in two ways.

    Raises:
        DsxError: If both are given; they state the same thing, so that one of them is a mistake.
    """
    if word is not None and option is not None:
        raise DsxError(f"--space: the space is given twice: {quoted(word)} and {quoted(option)}")
    return option if word is None else word
