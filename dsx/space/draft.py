"""Draft of a space file for a given network."""

import glob
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from dsx.conv import set_mode
from dsx.errors import DsxError
from dsx.plain import plain
from dsx.space.network.analysis import NetworkAnalysis, analyse_network
from dsx.space.network.model import build_model, check_arguments, check_single_image
from dsx.space.network.network import copy_network
from dsx.space.network.slots import Slot
from dsx.space.probe.behaviour import check_behaviour
from dsx.space.recipe import is_normalised, unnormalised_recipe

GROUPS = (1, 2, 4, 8)
_DATASETS = {
    ((1, 8, 8), 10): "digits",
    ((3, 32, 32), 10): "cifar10",
    ((3, 32, 32), 100): "cifar100",
}
_HEAD = """\
# Draft of a search space for {slots} slots of {model}.
# `dsx space FILE` shows its slots and options, `dsx search FILE` runs a search.
model: {model}
{arguments}data: {data}
train: {train}
measure: {{batch: 1, dtype: float32, threads: 1, deploy: auto}}
slots:                           # the first rule that matches the name of a slot applies to it
"""
_TAIL = """\
objectives: {accuracy: maximize, latency_ms: minimize, params: minimize}
# constraints: {flops: "<= 80%"} # of the baseline
"""
_AUGMENT = ", augment: {crop: 4, flip: true}"
_SMALL = "{epochs: 6, batch_size: 64, learning_rate: 0.2, seed: 0}"
_LARGE = f"{{epochs: 30, batch_size: 128, learning_rate: 0.1, seed: 0{_AUGMENT}}}"
_PLAIN = """\
                          # SGD at its usual learning rates fails without batch norm
  {{epochs: {epochs}, batch_size: 64, optimizer: {optimizer}, learning_rate: {learning_rate},
   clip: {clip}, seed: 0{augment}}}"""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A space file for a network.

    Args:
        network: Network with freshly initialised weights.
        analysis: Network analysis of the network.
        text: Text of the space file.
        notes: Notes for the user about the network, one sentence each.
    """

    network: nn.Module
    analysis: NetworkAnalysis
    text: str
    notes: tuple[str, ...] = ()


def draft_space(model: str, arguments: Mapping[str, Any], image_shape: Sequence[int]) -> Draft:
    """Write a draft of a space file for a network.

    Args:
        model: Name of a file in `dsx/nets`, or an import path `package.module:callable`.
        arguments: Arguments with which the network is built.
        image_shape: Channels, rows and columns of an image.

    Returns:
        The draft.

    Raises:
        DsxError: If the network cannot be built, does not run, has no slots, or does not return one
            vector of numbers per image.
    """
    check_arguments(arguments)
    arguments, shape = plain(arguments), plain(tuple(image_shape))
    network, notes = build_model(model, arguments, shape)
    analysis = analyse_network(network, torch.zeros(2, *shape))
    check_single_image(set_mode(copy_network(network), False), shape)
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    notes = (*notes, *check_behaviour(network, images))
    if len(analysis.output_shape) != 1:
        sides = " x ".join(map(str, analysis.output_shape)) or "one number"
        raise DsxError(f"{model} returns {sides} for an image, not one number per class")
    if not analysis.slots:
        raise DsxError(f"{model} has no slots: it has no nn.Conv2d that can be redesigned")
    head = _HEAD.format(
        model=model,
        slots=len(analysis.slots),
        arguments=f"model_args: {json.dumps(dict(arguments))}\n" if arguments else "",
        data=_data(analysis),
        train=_train(network, shape),
    )
    rules = "".join(_rule(match, slots) for match, slots in _matches(analysis))
    return Draft(network=network, analysis=analysis, text=head + rules + _TAIL, notes=notes)


def _train(network: nn.Module, shape: tuple[int, ...]) -> str:
    """Return the text of training settings that suit the network."""
    small = shape == (1, 8, 8)
    if is_normalised(network):
        return _SMALL if small else _LARGE
    epochs, augment = (20, "") if small else (30, _AUGMENT)
    return _PLAIN.format(epochs=epochs, augment=augment, **unnormalised_recipe(shape))


def _data(analysis: NetworkAnalysis) -> str:
    """Return the text for the dataset for which the network is most likely meant."""
    (channels, rows, columns), (classes,) = analysis.input_shape, analysis.output_shape
    dataset = _DATASETS.get(((channels, rows, columns), classes))
    if dataset:
        return dataset
    if rows != columns or channels not in (1, 3):
        return "mypkg.data:splits         # package.module:callable that returns Splits"
    args = f"{{root: data, size: {rows}, channels: {channels}, classes: {classes}}}"
    return f"folder                     # one folder of images per class\ndata_args: {args}"


def _kind(slot: Slot) -> str:
    if slot.groups > 1:
        return "grouped"
    return "pointwise" if slot.kernel_size == (1, 1) else "spatial"


def _matches(analysis: NetworkAnalysis) -> Iterator[tuple[str, list[Slot]]]:
    """Yield wildcards that separate the kinds of slots, each with the slots it matches first.

    The stem, which reads the image, has its own rule, since a redesign gains little there.
    """
    stem = analysis.slots[0]
    kinds = {slot.name: _kind(slot) for slot in analysis.slots}
    kinds[stem.name] = "stem"
    matched: set[str] = set()
    for slot in analysis.slots:
        if slot.name in matched:
            continue
        for wildcard in _wildcards(slot.name):
            new = {name for name in kinds if fnmatchcase(name, wildcard)} - matched
            if {kinds[name] for name in new} == {kinds[slot.name]}:
                break
        yield wildcard, [other for other in analysis.slots if other.name in new]
        matched |= new


def _wildcards(name: str) -> Iterator[str]:
    """Yield wildcards with asterisks in place of numbers, from all numbers to none."""
    parts = [glob.escape(part) for part in re.split(r"(\d+)", name)]
    numbers = len(parts) // 2
    for stars in range(numbers, 0, -1):
        replaced = ["*" if i % 2 and i // 2 < stars else part for i, part in enumerate(parts)]
        yield re.sub(r"\*(\.\*)+", "*", "".join(replaced))
    yield glob.escape(name)


def _rule(match: str, slots: Sequence[Slot]) -> str:
    """Return the text of a rule that lists options, or keeps the slots if there are none."""
    lines = [f'  - match: "{match}"']
    dials = [] if slots[0].in_channels <= 3 else list(_dials(slots))
    lines += dials or ["keep: true                   # unchanged"]
    return "\n    ".join(lines) + "\n"


def _dials(slots: Sequence[Slot]) -> Iterator[str]:
    groups = [g for g in GROUPS if any(slot.in_channels % g == 0 for slot in slots)]
    sparse = any(k == j and k % 2 and k > 1 for k, j in (slot.kernel_size for slot in slots))
    kind = _kind(slots[0])
    if kind == "grouped":
        if sparse:
            yield "kernel_shape: [full, cross, saltire]"
            depthwise = all(slot.groups == slot.in_channels for slot in slots)
            original = "all" if depthwise else sorted({slot.groups for slot in slots})
            yield f"groups: {original}                 # as in the network"
        return
    if kind == "spatial":
        yield "separable: [false, true]     # depthwise, then pointwise with the dials below"
        if sparse:
            yield "kernel_shape: [full, cross, corners]"
    if len(groups) > 1:
        yield f"groups: {groups}"
        yield "channel_stride: [block, 0.5] # disjoint groups, or windows that overlap by half"
    if kind == "spatial":
        yield "# binary_basis: [0, 64]      # 64 shared binary filters (+1/-1) for all kernels"
