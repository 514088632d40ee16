"""Search spaces with other measurement settings than those of their file."""

import pytest

from dsx.errors import DsxError
from dsx.space.measure_settings import with_measure_settings
from tests.space.space_files import replaced, space

BATCHED = replaced("measure: {batch: 1}", "measure: {batch: 8, threads: 2}")


def test_only_given_settings_differ() -> None:
    plain = space(BATCHED)
    other = with_measure_settings(plain, threads=1, backend="compile", dtype=None)
    expected = plain.file.measure.model_dump() | {"threads": 1, "backend": "compile"}
    assert other.file.measure.model_dump() == expected
    assert other.file.model_copy(update={"measure": plain.file.measure}) == plain.file
    assert other.baseline.id == plain.baseline.id
    assert plain.file.measure.threads == 2


def test_no_settings_change_nothing() -> None:
    plain = space(BATCHED)
    assert with_measure_settings(plain, batch=None).file == plain.file


def test_a_network_that_requires_a_larger_batch_is_rejected() -> None:
    text = BATCHED.replace("small_cnn", "tests.space.networks:Squeezing")
    text = text.replace("model_args: {width: 8}\n", "").replace("stages.*", "*")
    assert with_measure_settings(space(BATCHED), batch=1).file.measure.batch == 1
    with pytest.raises(DsxError, match=r"^batch: 1: returns 10 for a batch of 1 image, without"):
        with_measure_settings(space(text), batch=1)
