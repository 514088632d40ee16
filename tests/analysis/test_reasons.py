"""Kinds of reasons of failures, which ignore differences between candidates."""

import pytest

from dsx.analysis.reasons import Outcomes, Reason, grouped

SLOTS = ("features.0", "features.3.conv", "head", "encoder.stem", "decoder.stem")


@pytest.mark.parametrize(
    "texts",
    [
        ("training diverged: the loss is nan in epoch 1", "training diverged: the loss is inf in "
         "epoch 12"),
        ("KeyError: 'features.0'", "KeyError: 'features.3.conv'", "KeyError: 'head'"),
        ("TypeError: no decoder.stem.weight here", "TypeError: no encoder.stem.weight here"),
        ("TypeError: bad decoder", "TypeError: bad encoder"),
        ("RuntimeError: size of tensor a (8) must match (16)", "RuntimeError: size of tensor a "
         "(-1) must match (4.5e-3)"),
        ("expected [2, 16, 8, 8]", "expected [2, 4]", "expected [7]"),
        ("expected torch.Size([1, 2])", "expected torch.Size([1,])"),
        ("of 2 x 16 x 8 images", "of 2x3 images"),
        ("<Conv object at 0x7f00deadbeef>", "<Conv object at 0x7f00cafe>"),
        ("'FixedConv2d' object has no attribute 'reset'", "'BinaryConv2d' object has no attribute "
         "'reset'"),
        ("out of memory: Tried to allocate 20.00 MiB. GPU 0", "out of memory",
         "out of memory: can't allocate memory: you tried to allocate 7 bytes"),
        ("needs 2.00 GiB", "needs 20 bytes"),
        ("accuracy is nan", "accuracy is inf"),
        ("takes 1,024 steps", "takes 8 steps"),
    ],
)  # fmt: skip
def test_reasons_that_differ_in_numbers_or_names_of_slots_are_of_one_kind(
    texts: tuple[str, ...],
) -> None:
    (reason,) = grouped(enumerate(texts, start=3), SLOTS)
    assert reason == Reason(text=texts[0], trials=tuple(range(3, 3 + len(texts))))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'a'", "KeyError: 'b'"),
        ("TypeError: 1", "ValueError: 1"),
        ("training diverged: the loss is nan", "accuracy is nan"),
        ("out of memory", "out of range"),
        ("overhead", "over#"),
    ],
)
def test_reasons_that_differ_in_words_are_of_two_kinds(one: str, other: str) -> None:
    assert [reason.text for reason in grouped([(1, one), (2, other)], SLOTS)] == [one, other]


def test_the_most_common_reason_is_first_and_ties_keep_the_order_of_the_trials() -> None:
    found = grouped([(1, "a"), (2, "b"), (3, "c"), (5, "c"), (7, "b")], ())
    assert [(reason.text, reason.trials) for reason in found] == [
        ("b", (2, 7)), ("c", (3, 5)), ("a", (1,))
    ]  # fmt: skip


def test_a_network_that_is_a_slot_itself_has_no_name_to_replace() -> None:
    assert len(grouped([(1, "a b"), (2, "a c")], ("",))) == 2


def test_all_candidates_failed_if_none_is_complete() -> None:
    assert not Outcomes().all_failed
    assert Outcomes(failed=1).all_failed
    assert Outcomes(failed=1, rejected=1).all_failed
    assert not Outcomes(failed=9, complete=1).all_failed
    assert Outcomes(failed=9, complete=1, rejected=2).candidates == 12
