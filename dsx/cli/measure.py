"""dsx measure: one design and the baseline."""

import sys
from contextlib import redirect_stdout
from typing import Annotated

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

MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Metric to measure; may be repeated.  [default: all metrics that need no training]"
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        help="Add a comparison of the latency in these backends with eager: all, or names "
        "separated by commas.",
        metavar="all|NAME[,NAME]",
    ),
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
    """Measure one design and the baseline."""
    patience = seconds("--storage-timeout", storage_timeout)
    backends = [] if backend is None else [name.strip() for name in backend.split(",")]
    from dsx.report.design import backends_document, print_backends, print_measured
    from dsx.report.text import working
    from dsx.search.design import check_backends, compare_backends
    from dsx.trust import trust_paths

    trust_paths([*(metric or ()), *backends])
    settings = run_settings(batch, threads, dtype, channels_last, device)
    found = find_design(words or (), study, pick, storage, space, trust, settings, patience)
    chosen = chosen_format(format, json)
    check_backends(found.space, backends)
    with working("preparing the measurement") as on_status, redirect_stdout(sys.stderr):
        single = found.single(storage, train, fresh, patience, on_status)
        measured = single.measure(list(metric or ()))
        compared = compare_backends(single, backends) if backends else []
    sections = {"backends": backends_document(compared)} if backends else {}
    print_measured(found.space, found.design, measured, chosen, {**found.about, **sections})
    if backends and chosen is not Format.JSON:
        typer.echo()
        print_backends(found.space, compared, chosen)
