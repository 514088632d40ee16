"""A draft is a valid search space that keeps the stem and has options for all other slots."""

import re
from typing import Any

import numpy as np
import pytest

from dsx.errors import DsxError
from dsx.lookup import names
from dsx.nets import Net, image_shape
from dsx.space import draft_space
from dsx.space.draft import _wildcards
from dsx.space.options.rules import rule_options
from dsx.space.yaml.schema import parse_space
from dsx.space.yaml.source import read_source

HERE = "tests.space.networks"
CASES = [
    *((name, {}, image_shape(name) or ()) for name in names(Net)),
    ("vgg11", {"small": True, "classes": 10}, (3, 32, 32)),
    ("mobilenet_v1", {"small": True, "classes": 100}, (3, 32, 32)),
    (f"{HERE}:Tangle", {}, (3, 12, 12)),
    (f"{HERE}:Hooked", {}, (1, 8, 8)),
    (f"{HERE}:Lazy", {}, (1, 8, 9)),
    (f"{HERE}:Wrapped", {}, (1, 8, 8)),
    (f"{HERE}:Bracketed", {}, (1, 8, 8)),
]


@pytest.mark.parametrize(("model", "arguments", "shape"), CASES)
def test_a_draft_is_a_valid_space(
    model: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> None:
    draft = draft_space(model, arguments, shape)
    source = read_source("draft.yaml", draft.text)
    file = parse_space(source)
    assert (file.model, file.model_args) == (model, arguments)
    options = list(rule_options(file.slots, source, draft.analysis))
    redesignable = {slot.name for slot_options in options for slot in slot_options.slots}
    # All slots except the stem and those without a supported option.
    for slot in draft.analysis.slots[1:]:
        assert slot.name in redesignable or slot.in_channels % 2 or slot.kernel_size == (1, 1)
    assert draft.analysis.slots[0].name not in redesignable
    assert (
        any(len(slot_options.settings()) > 3 for slot_options in options)
        or len(draft.analysis.slots) < 3
    )


@pytest.mark.parametrize(
    ("model", "arguments", "shape", "line"),
    [
        ("small_cnn", {}, (1, 8, 8), "data: digits"),
        ("resnet18", {"small": True, "classes": 10}, (3, 32, 32), "data: cifar10"),
        ("resnet18", {"small": True, "classes": 100}, (3, 32, 32), "data: cifar100"),
        ("resnet18", {"classes": 7}, (3, 64, 64),
         "data_args: {root: data, size: 64, channels: 3, classes: 7}"),
        (f"{HERE}:Lazy", {}, (1, 8, 9), "data: mypkg.data:splits "),
    ],
)  # fmt: skip
def test_a_draft_names_matching_data(
    model: str, arguments: dict[str, Any], shape: tuple[int, ...], line: str
) -> None:
    assert f"\n{line}" in draft_space(model, arguments, shape).text


def test_depthwise_and_pointwise_slots_have_separate_rules() -> None:
    text = draft_space("mobilenet_v1", {"small": True, "classes": 10}, (3, 32, 32)).text
    depthwise, pointwise = (text.index(f'match: "layers.*.conv{n}"') for n in ("1", "*"))
    assert text.index("kernel_shape: [full, cross, saltire]") > depthwise
    assert "groups: all" in text[depthwise:pointwise]
    assert "channel_stride" in text[pointwise:]


@pytest.mark.parametrize(
    ("name", "wildcards"),
    [
        ("conv", ["conv"]),
        ("layer1.0.conv2", ["layer*.conv*", "layer*.conv2", "layer*.0.conv2", "layer1.0.conv2"]),
        ("features.12", ["features.*", "features.12"]),
        ("0.1.2", ["*", "*.2", "*.1.2", "0.1.2"]),
        ("a[1]", ["a[[]*]", "a[[]1]"]),
    ],
)
def test_wildcards_grow_narrower(name: str, wildcards: list[str]) -> None:
    assert list(_wildcards(name)) == wildcards


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (f"{HERE}:NoSlots", "has no slots: it has no nn.Conv2d that can be redesigned"),
        (f"{HERE}:Raises", "the network does not run on an input of 2 x 1 x 8 x 8: LookupError"),
        ("torch.nn:Conv2d", "torch.nn:Conv2d cannot be built with these arguments: TypeError"),
    ],
)
def test_an_unusable_network_is_rejected(model: str, problem: str) -> None:
    with pytest.raises(DsxError, match=re.escape(problem)):
        draft_space(model, {}, (1, 8, 8))


def test_a_network_without_one_output_per_class_is_rejected() -> None:
    with pytest.raises(DsxError, match="returns 2 x 8 x 8 for an image, not one number per"):
        draft_space("torch.nn:Conv2d", {"in_channels": 1, "out_channels": 2, "kernel_size": 1},
                    (1, 8, 8))  # fmt: skip


def test_arguments_and_shape_may_be_numpy_numbers() -> None:
    channels: Any = np.int64(1)
    drafted = draft_space("small_cnn", {"width": np.int64(4)}, (channels, 8, 8))
    assert drafted.text == draft_space("small_cnn", {"width": 4}, (1, 8, 8)).text
