"""Designs: equal designs have equal ids, and ids are stable."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.conv import KEEP, ConvSpec, preset
from dsx.errors import SpecError
from dsx.space import Design, SearchSpace, load_space
from tests.space.sampling import every_sample, sample_design
from tests.space.space_files import space, with_rules

DIGITS = load_space("digits")
MIXED = space(
    with_rules(
        "{match: '*.conv1', share: rule, preset: [scc, {hetconv: {p: 2}}], groups: [1, 2]}",
        "{match: 'stages.*', separable: [false, true], kernel_shape: [full, cross, halves], "
        "groups: [1, 4, all], channel_stride: [block, 1/3], binary_basis: [0, 4], splits: [1, 2], "
        "scale: [false, true]}",
        "{match: stem.0, kernel_shape: [full, learned], density: [0.25, 1], rigid: [false, true], "
        "block_out: [16, 4], binary_basis: [0, 4]}",
    )
)
SPACES = st.sampled_from([DIGITS, MIXED])


def design(
    model: str = "small_cnn", specs: dict[str, ConvSpec] | None = None, **args: object
) -> Design:
    """Build a design of the digits network."""
    return Design.of(model, args, DIGITS.analysis, specs or {})


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ({}, "4c1d307bfb0c"),
        ({"stages.0.conv1": ConvSpec(kernel_shape="cross", groups=2)}, "0e0251a48e4e"),
        (
            {
                "stages.2.conv2": preset("scc", groups=4, overlap=0.75),
                "stages.1.conv1": preset("depthwise"),
                "stem.0": ConvSpec(kernel_shape="het2"),
            },
            "567201c397f6",
        ),
        ({"stages.0.conv1": preset("slbf", k=16)}, "8b8f984c9929"),
        ({"stages.0.conv1": preset("slbf", k=16, scale=False)}, "8b8f984c9929"),
        ({"stages.0.conv1": preset("slbf", k=16, scale=True)}, "1b9c674bb8b9"),
        (
            {
                "stages.0.conv1": preset("lhc"),
                "stages.1.conv1": preset("lhc", rigid=True, block_in=8),
            },
            "35ef037fa164",
        ),
    ],
)
def test_ids_are_stable(specs: dict[str, ConvSpec], expected: str) -> None:
    """A changed id would orphan every measurement in every database."""
    assert DIGITS.design(specs).id == expected


def test_an_id_is_the_hash_of_the_canonical_json() -> None:
    text = (
        '{"model": "small_cnn", "model_args": {"width": 32}, "slots": {"stages.0.conv1": '
        '{"channel_stride": "block", "groups": 2, "kernel_shape": "cross"}, "stages.1.conv1": '
        '{"channel_stride": "8/16", "groups": 2, "separable": true, "kernel_shape": "point"}}}'
    )
    document = json.dumps(json.loads(text), sort_keys=True)
    specs = {
        "stages.1.conv1": preset("scc"),
        "stages.0.conv1": ConvSpec(kernel_shape="cross", groups=2),
    }
    expected = hashlib.sha256(document.encode()).hexdigest()[:12]
    assert DIGITS.design(specs).id == expected


def test_the_baseline_changes_nothing() -> None:
    assert DIGITS.baseline == DIGITS.design({})
    assert DIGITS.baseline.changed == {}
    assert set(DIGITS.baseline.specs.values()) == {KEEP}
    assert list(DIGITS.baseline.specs) == [slot.name for slot in DIGITS.analysis.slots]


@given(SPACES, st.data())
def test_a_design_round_trips_through_json(loaded: SearchSpace, data: st.DataObject) -> None:
    one = sample_design(data, loaded)
    document = json.loads(json.dumps(one.spec_json()))
    again = loaded.design({name: ConvSpec.from_json(dials) for name, dials in document.items()})
    assert again == one
    assert again.id == one.id


@given(SPACES, st.data())
def test_a_design_is_canonical(loaded: SearchSpace, data: st.DataObject) -> None:
    one = sample_design(data, loaded)
    assert loaded.design(one.specs) == one
    assert loaded.design(one.changed) == one
    for slot in loaded.analysis.slots:
        assert slot.canonical(one.specs[slot.name]) == one.specs[slot.name]


@given(SPACES, st.data(), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(
    loaded: SearchSpace, data: st.DataObject, random: object
) -> None:
    one = sample_design(data, loaded)
    slots = data.draw(st.permutations(list(one.specs.items())))
    args = data.draw(st.permutations([("width", 8), ("b", {"x": 1, "y": 2}), ("c", [1, 2])]))
    inner = {"y": 2, "x": 1}
    shuffled = {key: inner if key == "b" else value for key, value in args}
    first = Design.of("m", dict(sorted(args)), loaded.analysis, one.specs)
    second = Design.of("m", shuffled, loaded.analysis, dict(slots))
    assert (first.id, first) == (second.id, second)


def test_designs_are_equal_if_and_only_if_their_ids_are() -> None:
    text = with_rules(
        "{match: 'stages.0.*', preset: [scc, ssc], separable: [false, true], "
        "kernel_shape: [full, cross, halves, learned], groups: [1, 2, all], "
        "channel_stride: [block, 1], binary_basis: [0, 4], scale: [false, true], "
        "rigid: [false, true]}"
    )
    loaded = space(text)
    by_id: dict[str, Design] = {}
    for _, one in every_sample(loaded.sample):
        assert by_id.setdefault(one.id, one) == one
    assert len(by_id) == loaded.size


def test_equivalent_specs_give_the_same_design() -> None:
    same = [
        ConvSpec(kernel_shape="cross", groups=2),
        ConvSpec(kernel_shape="cross", groups=2, channel_stride="block"),
        ConvSpec(kernel_shape="cross", groups=2, splits=4, density=0.5, block_in=3),
    ]
    assert len({design(specs={"stages.0.conv1": spec}).id for spec in same}) == 1
    assert design(specs={"stages.0.conv1": ConvSpec()}) == design()


def test_model_and_arguments_are_part_of_a_design() -> None:
    designs = [
        design(), design("other"), design(width=32), design(width=16), design(width="32"),
        design(specs={"stem.0": ConvSpec(kernel_shape="cross")}),
        design(specs={"stages.0.conv1": ConvSpec(kernel_shape="cross")}),
    ]  # fmt: skip
    assert len({one.id for one in designs}) == len(designs)


def test_an_unknown_slot_has_a_near_match() -> None:
    with pytest.raises(SpecError, match=r"^no slot called 'stem\.O' .*Did you mean 'stem\.0'\?$"):
        design(specs={"stem.O": KEEP})


def test_an_unsupported_spec_is_rejected_with_its_slot() -> None:
    with pytest.raises(SpecError, match=r"^stages\.0\.conv1: groups = 3 does not divide the 32"):
        design(specs={"stages.0.conv1": ConvSpec(groups=3)})


def test_the_description_counts_the_slots_of_each_notation() -> None:
    cross = ConvSpec(kernel_shape="cross", groups=2)
    specs = {
        "stages.0.conv1": cross,
        "stages.0.conv2": preset("depthwise"),
        "stages.1.conv1": cross,
        "stages.2.conv1": preset("depthwise"),
        "stages.1.conv2": cross,
    }
    assert DIGITS.baseline.description(DIGITS.analysis) == "7x keep"
    expected = "3x cross g2; 2x full dw; 2x keep"
    assert DIGITS.design(specs).description(DIGITS.analysis) == expected
    specs |= {"stages.2.conv2": preset("lhc", block_in=8), "stem.0": preset("lhc", rigid=True)}
    assert DIGITS.design(specs).description(DIGITS.analysis) == (
        "3x cross g2; 2x full dw; learned rigid d0.25; learned d0.25 8x16"
    )
    # The 8 channels of the slot are fewer than those of a default block.
    narrow = MIXED.design({"stages.0.conv1": preset("lhc")})
    assert narrow.description(MIXED.analysis) == "learned d0.25; 6x keep"
    every = {slot.name: ConvSpec(kernel_shape="point") for slot in DIGITS.analysis.slots}
    assert DIGITS.design(every).description(DIGITS.analysis) == "7x point"
