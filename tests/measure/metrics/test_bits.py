"""Bits: 32 for each real parameter."""

from dsx.measure.metrics import bits, params
from tests.measure.candidates import SPECS, candidate


def test_real_numbers_have_32_bits() -> None:
    for specs in ({}, SPECS):
        one = candidate(specs=specs)
        assert bits.METRIC.read(one).value == 32 * params.METRIC.read(one).value
    assert bits.METRIC.unit == "bit"
