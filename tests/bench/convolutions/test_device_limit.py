"""Limits of the device."""

import json

from dsx.bench._rounds import Effort
from dsx.bench.convolutions.device_limit import COPIED_MEGABYTES, Limit, measure_limit


def test_the_least_time_is_that_of_the_multiply_adds_or_of_the_bytes() -> None:
    limit = Limit(flops_per_s=100.0, bandwidths=((10.0, 50.0), (100.0, 20.0)))
    assert limit.seconds(1000, 10) == 10.0
    assert limit.seconds(1, 10) == 0.2
    assert limit.seconds(1, 11) == 0.55
    assert limit.seconds(1, 1000) == 50.0


def test_limits_are_the_same_after_a_round_trip_through_json() -> None:
    limit = Limit(flops_per_s=100.0, bandwidths=((10.0, 50.0), (100.0, 20.0)))
    assert Limit.from_json(json.loads(json.dumps(limit.to_json()))) == limit


def test_the_limits_are_measured() -> None:
    limit = measure_limit(Effort(seconds=0.0, least=1, most=1))
    assert 1e8 < limit.flops_per_s < 1e14
    assert [size for size, _ in limit.bandwidths] == [each * 2**20 for each in COPIED_MEGABYTES]
    assert all(1e7 < rate < 1e13 for _, rate in limit.bandwidths)
