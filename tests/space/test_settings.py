"""Settings of dials on the command line: their meaning, and every error."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.conv import KEEP, ConvSpec, preset
from dsx.errors import SpecError
from dsx.space import SearchSpace
from dsx.space.settings import outside, parse_setting, parse_settings
from tests.space.space_files import space, with_rules

TOKENS = ["scc", "keep", "groups", "overlap", "kernel_shape", "=", ":", ",", "(", ")", "2", "cross"]


@pytest.fixture(scope="module")
def plain() -> SearchSpace:
    return space()


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("keep", KEEP),
        ("depthwise", preset("depthwise")),
        ("scc", preset("scc")),
        ("scc,groups:4,overlap:0.75", preset("scc", groups=4, overlap=0.75)),
        ("scc(groups=4,overlap=0.75)", preset("scc", groups=4, overlap=0.75)),
        (" scc ( groups = 4 ) ", preset("scc", groups=4)),
        ("scc()", preset("scc")),
        ("ssc,kernel_shape:corners,groups:2", ConvSpec(kernel_shape="corners", groups=2)),
        ("kernel_shape:cross,groups:4", ConvSpec(kernel_shape="cross", groups=4)),
        ("groups:all", ConvSpec(groups="all")),
        ("groups:2,channel_stride:1/3", ConvSpec(groups=2, channel_stride="1/3")),
        ("separable:true,binary_basis:8,scale:false",
         ConvSpec(separable=True, binary_basis=8, scale=False)),
        ("lhc,density:0.5,rigid:true", preset("lhc", density=0.5, rigid=True)),
    ],
)  # fmt: skip
def test_settings_are_keep_presets_or_dials(text: str, spec: ConvSpec) -> None:
    assert parse_setting(text) == spec


@given(
    st.sampled_from(["full", "cross", "het4", "lines"]),
    st.sampled_from([1, 2, "all"]),
    st.sampled_from([None, "block", 0.5, "1/3", 1]),
    st.sampled_from([(0, 1, None), (8, 2, True), (64, 1, False)]),
    st.booleans(),
)
def test_every_spec_can_be_written_as_dials(
    shape: str,
    groups: int | str,
    stride: float | str | None,
    basis: tuple[int, int, bool | None],
    separable: bool,
) -> None:
    filters, splits, scale = basis
    spec = ConvSpec(
        kernel_shape=shape,
        groups=groups,
        channel_stride=stride,
        binary_basis=filters,
        splits=splits,
        scale=scale,
        separable=separable,
    )
    text = ",".join(f"{name}:{str(value).lower()}" for name, value in spec.to_json().items())
    assert parse_setting(text or "standard") == spec


PRINTED = st.characters(exclude_categories=("C", "Z"))


@given(st.text(PRINTED) | st.lists(st.sampled_from(TOKENS)).map("".join))
def test_any_text_is_parsed_or_rejected_in_one_line(text: str) -> None:
    try:
        parse_setting(text)
    except SpecError as error:
        assert "\n" not in str(error)


def test_a_pattern_is_a_slot_a_module_or_a_wildcard(plain: SearchSpace) -> None:
    def changed(*settings: str) -> set[str]:
        return set(parse_settings(plain, settings, {}).changed)

    assert changed("stages.0.conv1=ssc") == {"stages.0.conv1"}
    assert changed("stages.0=ssc") == changed("stages.0.*=ssc") == {
        "stages.0.conv1", "stages.0.conv2",
    }  # fmt: skip
    assert changed("*.conv2=ssc") == {f"stages.{stage}.conv2" for stage in range(3)}
    assert len(changed("*=ssc")) == len(plain.analysis.slots)
    assert changed() == set()


def test_the_last_matching_setting_applies(plain: SearchSpace) -> None:
    base = {"stages.2.conv2": ConvSpec(kernel_shape="point")}
    settings = ["stages=groups:2", "stages.1=kernel_shape:cross", "stages.1.conv2=keep"]
    design = parse_settings(plain, settings, base)
    assert design.specs["stages.1.conv1"] == ConvSpec(kernel_shape="cross")
    assert design.specs["stages.1.conv2"].keeps
    assert design.specs["stages.2.conv2"].groups == 2
    assert parse_settings(plain, [], base).specs["stages.2.conv2"].kernel_shape == "point"


def test_a_replaced_setting_may_be_unsupported(plain: SearchSpace) -> None:
    # The stem has one channel, which cannot be divided into two groups.
    design = parse_settings(plain, ["*=groups:2", "stem=keep"], {})
    assert len(design.changed) == len(plain.analysis.slots) - 1


PRESETS = "standard, depthwise, group, pointwise, scc, ssc, hetconv, lhc, slbf"


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("stages", "'stages' is not a setting of dials (write PATTERN=SETTING, such as"),
        ("stags.1=ssc", "'stags.1=ssc': 'stags.1' matches no slot (the slots are stem.0, "),
        ("stags.1=ssc", " Did you mean 'stages.1'?"),
        ("stags.*=ssc", " Did you mean 'stages.*'?"),
        ("stages=", f"'stages=': '' is not a setting (allowed: keep, a preset ({PRESETS})"),
        ("stages=depthwis", " Did you mean 'depthwise'?"),
        ("stages=cross", " Did you mean 'kernel_shape:cross'?"),
        ("stages=grups", " Did you mean 'groups:VALUE'?"),
        ("stages=grops:2", "'stages=grops:2': no dial called 'grops' (allowed: binary_basis, "),
        ("stages=scc,grops:2", "no argument of scc called 'grops' (allowed: "),
        ("stages=scc,overlp:0.5", " Did you mean 'overlap'?"),
        ("stages=scc,kernel_shape:cross", "preset scc: sets 'kernel_shape' itself"),
        ("stages=kernel_shape:cros", "no shape called 'cros' (allowed: "),
        ("stages=groups:0", "groups: 0 is neither a positive integer nor 'all'"),
        ("stages=groups:", "groups: has no value (write groups:VALUE)"),
        ("stages=scc(groups)", "groups: has no value (write groups=VALUE)"),
        ("stages=groups:[1", "groups:1:3: not YAML: while parsing a flow sequence"),
        ("stages=groups:2,groups:4", "groups: is given twice"),
        ("stages=keep,groups:2", "keep cannot be combined with other items"),
        ("stages=groups:3", "stages.0.conv1: groups = 3 does not divide the 8 input channels"),
        ("stages=lhc,groups:2", "learned shapes need groups = 1, not 2"),
    ],
)
def test_invalid_settings_are_rejected_in_one_line(
    setting: str, problem: str, plain: SearchSpace
) -> None:
    with pytest.raises(SpecError, match=re.escape(problem)) as caught:
        parse_settings(plain, [setting], {})
    assert "\n" not in str(caught.value)


def test_slots_outside_the_space_are_listed() -> None:
    shared = space(
        with_rules(
            "{match: 'stages.0.*', share: rule, groups: [1, 2]}",
            "{match: 'stages.1.*', kernel_shape: [full, cross]}",
        )
    )

    def of(*settings: str) -> list[str]:
        return outside(shared, parse_settings(shared, settings, {}))

    assert of() == of("stages.0=groups:2") == of("stages.1.conv1=kernel_shape:cross") == []
    assert of("stages.1.conv1=kernel_shape:point") == ["stages.1.conv1"]
    assert of("stages.0.conv1=groups:2") == ["stages.0.conv1", "stages.0.conv2"]
    assert of("stem.0=kernel_shape:cross") == ["stem.0"]
