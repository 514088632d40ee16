"""Lists of cases."""

import dataclasses
import functools

from dsx.bench.convolutions.cases import (
    Case,
    default_cases,
    full_cases,
    list_cases,
    reduced_cases,
)
from dsx.bench.convolutions.layers import NAMED, Layer
from dsx.bench.convolutions.operators import FOUR_SPLITS, PRESETS, SPLITS, Family, sampled

full = functools.cache(full_cases)


def test_the_default_run_measures_all_presets_on_all_named_layers() -> None:
    cases = default_cases()
    served = [case for case in cases if not case.training]
    assert len(served) == (len(PRESETS) + 1) * len(NAMED) * 2
    assert {case.operator for case in served} == {*PRESETS, FOUR_SPLITS}
    assert FOUR_SPLITS not in {case.operator for case in cases if case.training}
    assert {case.threads for case in cases} == {1}
    assert {case.batch for case in cases if case.training} == {32}


def test_blocks_are_only_deployed() -> None:
    trained = {case.operator.family for case in default_cases() if case.training}
    assert trained == {Family.SLIDING, Family.SHAPE, Family.BINARY, Family.OTHER}


def test_layers_with_the_same_stage_share_a_case() -> None:
    sliding = [each for each in PRESETS if each.family is Family.SLIDING][:1]
    strided = Layer(in_channels=64, out_channels=64, stride=2, side=16)
    plain = Layer(in_channels=64, out_channels=64, side=8)
    assert len(list_cases(sliding, [strided, plain], 1)) == 1


def test_no_case_of_the_full_run_occurs_twice() -> None:
    cases = full()
    assert len({case.name for case in cases}) == len(cases)
    assert {case.threads for case in cases} == {1, 2}
    assert {case.batch for case in cases if case.layer.side > 32} == {1, 32}
    assert {case.operator.name for case in cases} == {
        operator.name for operator in (*PRESETS, *SPLITS, *sampled())
    }


def test_every_kind_of_case_has_a_reduced_one() -> None:
    def kind(case: Case, layer: Layer) -> tuple[object, ...]:
        return case.operator, dataclasses.replace(layer, side=1), case.training

    reduced = {kind(case, case.layer) for case in reduced_cases()}
    for case in (*default_cases(), *full()):
        assert kind(case, case.layer.reduced) in reduced, case.name


def test_a_case_is_described_in_a_few_words() -> None:
    (case,) = list_cases(PRESETS[:1], NAMED[:1], 32, threads=2, training=True)
    assert case.name == ("scc g2 o.33 on 64@32 1x1, batch 32, 2 threads, forward and backward")
