"""One design of a study, with all that an export needs."""

from pathlib import Path

import pytest
import torch

from dsx import front, search
from dsx.conv.deploy import Choice
from dsx.errors import DsxError, StorageError
from dsx.measure import this_device
from dsx.study.choice import load_choice
from dsx.study.tables import FormRow
from tests.study.looking import rows
from tests.study.spaces import ONE, TINY, varied


def test_a_design_is_found_with_its_numbers_and_weights(finished: str) -> None:
    found = front("tiny", storage=finished)
    choice = load_choice(finished, "tiny", "knee", this_device())
    assert (choice.study, choice.trial) == ("tiny", found.knee.trial)
    assert choice.design.id == found.knee.id
    assert choice.metrics == {name: v.value for name, v in found.knee.metrics.items()}
    assert choice.weights is not None
    network = choice.space.network()
    assert choice.weights["head.weight"].shape == network.state_dict()["head.weight"].shape
    assert all(torch.isfinite(tensor).all() for tensor in choice.weights.values())


def test_the_newest_study_is_meant(finished: str) -> None:
    assert load_choice(finished, None, "baseline", this_device()).study == "tiny"


def test_a_design_off_the_front_has_no_weights(storage: str) -> None:
    found = search(ONE, trials=4, storage=storage)
    kept = found.front_ids | {found.baseline}
    off = next(entry for entry in found.entries if entry.id not in kept)
    choice = load_choice(storage, "one", f"#{off.trial}", this_device())
    assert (choice.design.id, choice.weights) == (off.id, None)


def test_the_space_is_the_one_the_study_was_begun_with(storage: str, tmp_path: Path) -> None:
    space = varied(TINY, tmp_path, "width: 4", "width: 5")
    search(space, trials=1, storage=storage)
    space.write_text("broken: [")
    choice = load_choice(storage, "tiny", "baseline", this_device())
    assert choice.space.file.model_args == {"width": 5}


def test_new_forms_are_not_written_down(finished: str) -> None:
    choice = load_choice(finished, "tiny", "baseline", this_device())
    choice.known["{}"] = Choice(form="dense", seconds={})
    assert rows(finished, FormRow) == []


def test_what_is_not_there_is_refused(finished: str, storage: str) -> None:
    with pytest.raises(DsxError, match=r"no design called 'kne' in study 'tiny'.* 'knee'"):
        load_choice(finished, None, "kne", this_device())
    with pytest.raises(StorageError, match=r"no database at .*dsx\.db; `dsx search` makes one"):
        load_choice(storage, None, "knee", this_device())
