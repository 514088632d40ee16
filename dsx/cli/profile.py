"""dsx profile: the time of each slot of one design."""

import sys
from contextlib import redirect_stdout
from functools import partial

from dsx.cli._duration import seconds
from dsx.cli._measuring import (
    BatchOption,
    DeviceOption,
    DtypeOption,
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


def profile(
    words: Words = None,
    study: StudyOption = None,
    pick: PickOption = None,
    train: TrainOption = False,
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
    """Measure the time of one design and of the baseline, slot by slot."""
    patience = seconds("--storage-timeout", storage_timeout)
    settings = run_settings(batch, threads, dtype, channels_last, device)
    # Slots are timed in eager, regardless of the backend of the space.
    settings["backend"] = "eager"
    found = find_design(words or (), study, pick, storage, space, trust, settings, patience)
    from dsx.report.design import print_layers
    from dsx.report.text import working

    single = partial(found.single, storage, train, True, patience)
    with working("preparing the measurement") as on_status, redirect_stdout(sys.stderr):
        breakdowns = single(on_status).layers()
    print_layers(found.space, found.design, breakdowns, chosen_format(format, json), found.about)
