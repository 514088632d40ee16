"""dsx measure: one design, beside the baseline."""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from dsx.cli._duration import seconds
from dsx.cli._options import (
    DEFAULT_STORAGE,
    DEFAULT_STORAGE_TIMEOUT,
    Format,
    FormatOption,
    JsonOption,
    OwnSpaceOption,
    StorageOption,
    StorageTimeoutOption,
    TrustOption,
    chosen_format,
    vouched,
)
from dsx.errors import DsxError, quoted

if TYPE_CHECKING:
    from dsx.cli._single import Asked
    from dsx.search.design import Single

    Opening = Callable[[Callable[[str], None]], Single]
    """Opens the database, given a function that is told what is done next."""


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
MetricOption = Annotated[
    list[str] | None,
    typer.Option(help="Measure this; may be repeated. Left out: what needs no training."),
]
TrainOption = Annotated[
    bool, typer.Option("--train", help="Train the design for what needs it; keeps no weights.")
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Measure again what is in the database; both are kept.")
]
LayersOption = Annotated[
    bool, typer.Option("--layers", help="Show where the time goes, slot by slot.")
]
BackendOption = Annotated[
    list[str] | None,
    typer.Option(help="Compare this backend with eager; may be repeated, or all."),
]
BatchOption = Annotated[int | None, typer.Option(help="Images at a time.", min=1, max=65536)]
ThreadsOption = Annotated[int | None, typer.Option(help="Threads that it uses.", min=1, max=1024)]
DtypeOption = Annotated[Dtype | None, typer.Option(help="What it computes in.")]
LayoutOption = Annotated[
    bool | None,
    typer.Option("--channels-last/--no-channels-last", help="Layout of its tensors."),
]
DeviceOption = Annotated[Place | None, typer.Option(help="Where it runs.")]


def measure(
    words: Words = None,
    study: StudyOption = None,
    pick: PickOption = None,
    metric: MetricOption = None,
    train: TrainOption = False,
    fresh: FreshOption = False,
    layers: LayersOption = False,
    backend: BackendOption = None,
    batch: BatchOption = None,
    threads: ThreadsOption = None,
    dtype: DtypeOption = None,
    channels_last: LayoutOption = None,
    device: DeviceOption = None,
    space: OwnSpaceOption = None,
    trust: TrustOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    storage_timeout: StorageTimeoutOption = DEFAULT_STORAGE_TIMEOUT,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Measure one design beside the baseline: every metric, where the time goes, or backends."""
    name, dials = _parsed(words or ())
    _check_combination(layers, list(metric or ()), list(backend or ()))
    _check_origin(name, study is not None or pick is not None, space is not None or trust)
    patience = seconds("--storage-timeout", storage_timeout)
    settings = {
        "batch": batch,
        "threads": threads,
        "dtype": None if dtype is None else dtype.value,
        "channels_last": channels_last,
        "device": None if device is None else device.value,
        # Alone with --layers it says what the slots are clocked in.
        "backend": backend[0] if backend and layers else None,
    }
    from dsx.cli._single import asked, chosen, start_of
    from dsx.report.front import print_message
    from dsx.report.text import working
    from dsx.trust import give

    give([*(metric or ()), *(backend or ())])
    # What the network's own code prints is no result.
    with working("reading the space"), redirect_stdout(sys.stderr):
        if study is None and pick is None:
            base = start_of(name or "digits", dials)
        else:
            base = chosen(study, pick, dials, storage, vouched(space, trust), trust)
        found = asked(base, dials, settings)
    for note in found.notes:
        print_message(note)
    how = chosen_format(format, json)
    single = partial(found.single, storage, train, fresh or layers, patience)
    if layers:
        _layers(found, single, how)
    elif backend:
        _backends(found, single, backend, how)
    else:
        _metrics(found, single, list(metric or ()), how)


def _parsed(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Split the words into the name of a space, if one is given, and the dials after it."""
    named = bool(words) and "=" not in words[0]
    return (words[0], words[1:]) if named else (None, words)


def _check_origin(name: str | None, of_study: bool, vouching: bool) -> None:
    """Check where the design is from, before any code of a space file runs."""
    if vouching and not of_study:
        raise DsxError("--space and --trust: are about a design of a study: name it by --study")
    if name is not None and of_study:
        raise DsxError(f"--study and --pick: have a space of their own; leave out {quoted(name)}")


def _check_combination(layers: bool, metric: list[str], backend: list[str]) -> None:
    if metric and (layers or backend):
        other = "--layers" if layers else "--backend"
        raise DsxError(f"{other}: is about latency alone; leave out --metric")
    if layers and len(backend) > 1:
        raise DsxError("--layers: clocks the slots in eager alone; leave out --backend")


def _metrics(found: "Asked", single: "Opening", wanted: list[str], how: Format) -> None:
    from dsx.report.design import print_measured
    from dsx.report.text import working

    with working("preparing the measurement") as tell, redirect_stdout(sys.stderr):
        measured = single(tell).measure(wanted)
    print_measured(found.space, found.design, measured, how, found.about)


def _layers(found: "Asked", single: "Opening", how: Format) -> None:
    from dsx.report.design import print_layers
    from dsx.report.text import working

    with working("preparing the measurement") as tell, redirect_stdout(sys.stderr):
        breakdowns = single(tell).layers()
    print_layers(found.space, found.design, breakdowns, how, found.about)


def _backends(found: "Asked", single: "Opening", wanted: list[str], how: Format) -> None:
    from dsx.report.design import print_backends
    from dsx.report.text import working
    from dsx.search.design import compare_backends

    with working("preparing the measurement") as tell, redirect_stdout(sys.stderr):
        lines = compare_backends(single(tell), wanted)
    print_backends(found.space, found.design, lines, how, found.about)
