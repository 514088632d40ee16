"""dsx measure: one design, beside the baseline."""

import sys
from contextlib import redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from dsx.cli._duration import seconds
from dsx.cli._measuring import (
    BatchOption,
    DeviceOption,
    DtypeOption,
    FreshOption,
    LayoutOption,
    PickOption,
    StudyOption,
    ThreadsOption,
    TrainOption,
    Words,
    find_design,
    run_settings,
)
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
)
from dsx.errors import DsxError

if TYPE_CHECKING:
    from dsx.cli._measuring import Opening
    from dsx.cli._single import Asked

MetricOption = Annotated[
    list[str] | None,
    typer.Option(help="Measure this; may be repeated. Left out: what needs no training."),
]
BackendOption = Annotated[
    list[str] | None,
    typer.Option(help="Compare this backend with eager; may be repeated, or all."),
]


def measure(
    words: Words = None,
    study: StudyOption = None,
    pick: PickOption = None,
    metric: MetricOption = None,
    train: TrainOption = False,
    fresh: FreshOption = False,
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
    """Measure one design and the baseline: all metrics, or the latency in several backends."""
    if metric and backend:
        raise DsxError("--backend: compares latencies only; leave out --metric")
    patience = seconds("--storage-timeout", storage_timeout)
    from dsx.trust import trust_paths

    trust_paths([*(metric or ()), *(backend or ())])
    settings = run_settings(batch, threads, dtype, channels_last, device)
    found = find_design(words or (), study, pick, storage, space, trust, settings)
    how = chosen_format(format, json)
    single = partial(found.single, storage, train, fresh, patience)
    if backend:
        _backends(found, single, backend, how)
    else:
        _metrics(found, single, list(metric or ()), how)


def _metrics(found: "Asked", single: "Opening", wanted: list[str], how: Format) -> None:
    from dsx.report.design import print_measured
    from dsx.report.text import working

    with working("preparing the measurement") as tell, redirect_stdout(sys.stderr):
        measured = single(tell).measure(wanted)
    print_measured(found.space, found.design, measured, how, found.about)


def _backends(found: "Asked", single: "Opening", wanted: list[str], how: Format) -> None:
    from dsx.report.design import print_backends
    from dsx.report.text import working
    from dsx.search.design import compare_backends

    with working("preparing the measurement") as tell, redirect_stdout(sys.stderr):
        lines = compare_backends(single(tell), wanted)
    print_backends(found.space, found.design, lines, how, found.about)
