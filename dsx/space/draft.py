"""Draft: a space file to begin with, written for a network that somebody has."""

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
from dsx.space.network.analysis import NetworkAnalysis, analysis
from dsx.space.network.model import build_with_notes, check_alone, check_arguments
from dsx.space.network.network import copied
from dsx.space.network.slots import Slot
from dsx.space.probe.behaviour import check_behaviour
from dsx.space.recipe import is_normalised, plain_recipe

GROUPS = (1, 2, 4, 8)
_KNOWN_DATA = {
    ((1, 8, 8), 10): "digits",
    ((3, 32, 32), 10): "cifar10",
    ((3, 32, 32), 100): "cifar100",
}
_HEAD = """\
# A space to begin with, for {slots} slots of {model}.
# `dsx space FILE` shows what it holds, `dsx search FILE` explores it.
model: {model}
{arguments}data: {data}
train: {train}
measure: {{batch: 1, dtype: float32, threads: 1, deploy: portable}}
slots:                           # the first rule that matches a slot's name has it
"""
_TAIL = """\
objectives: {accuracy: maximize, latency_ms: minimize, params: minimize}
# constraints: {flops: "<= 80%"} # of the baseline
"""
_AUGMENT = ", augment: {crop: 4, flip: true}"
_SMALL = "{epochs: 6, batch_size: 64, learning_rate: 0.2, seed: 0}"
_LARGE = f"{{epochs: 30, batch_size: 128, learning_rate: 0.1, seed: 0{_AUGMENT}}}"
_PLAIN = """\
                          # without batch norm, the usual rates of SGD train nothing
  {{epochs: {epochs}, batch_size: 64, optimizer: {optimizer}, learning_rate: {learning_rate},
   clip: {clip}, seed: 0{augment}}}"""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A space file for a network.

    Args:
        network: The network, with fresh weights.
        census: Of the network.
        text: The file.
        notes: Notes for the user about the network, as sentences.
    """

    network: nn.Module
    analysis: NetworkAnalysis
    text: str
    notes: tuple[str, ...] = ()


def draft_space(model: str, arguments: Mapping[str, Any], image_shape: Sequence[int]) -> Draft:
    """Write a space file for a network.

    Args:
        model: A file in `dsx/nets`, or `package.module:callable`.
        arguments: What it is built with.
        image_shape: Channels, rows, columns.

    Returns:
        The draft.

    Raises:
        DsxError: If the network cannot be built, does not run, or gives no numbers per image.
    """
    check_arguments(arguments)
    arguments, shape = plain(arguments), plain(tuple(image_shape))
    network, notes = build_with_notes(model, arguments, shape)
    found = analysis(network, torch.zeros(2, *shape))
    check_alone(set_mode(copied(network), False), shape)
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    notes = (*notes, *check_behaviour(network, images))
    if len(found.output_shape) != 1:
        sides = " x ".join(map(str, found.output_shape)) or "one number"
        raise DsxError(f"{model} returns {sides} for an image, not one number for each class")
    if not found.slots:
        raise DsxError(f"{model} has no slots: none of its modules is a nn.Conv2d to be redesigned")
    head = _HEAD.format(
        model=model,
        slots=len(found.slots),
        arguments=f"model_args: {json.dumps(dict(arguments))}\n" if arguments else "",
        data=_data(found),
        train=_train(network, shape),
    )
    rules = "".join(_rule(match, slots) for match, slots in _matches(found))
    return Draft(network=network, analysis=found, text=head + rules + _TAIL, notes=notes)


def _train(network: nn.Module, shape: tuple[int, ...]) -> str:
    """Write a training that fits the network."""
    small = shape == (1, 8, 8)
    if is_normalised(network):
        return _SMALL if small else _LARGE
    epochs, augment = (20, "") if small else (30, _AUGMENT)
    return _PLAIN.format(epochs=epochs, augment=augment, **plain_recipe(shape))


def _data(found: NetworkAnalysis) -> str:
    """Name the data that such a network is most likely for."""
    (channels, rows, columns), (classes,) = found.input_shape, found.output_shape
    known = _KNOWN_DATA.get(((channels, rows, columns), classes))
    if known:
        return f"{known}"
    if rows != columns or channels not in (1, 3):
        return "mypkg.data:splits         # package.module:callable that returns Splits"
    args = f"{{root: data, size: {rows}, channels: {channels}, classes: {classes}}}"
    return f"folder                     # one folder of images for each class\ndata_args: {args}"


def _kind(slot: Slot) -> str:
    if slot.groups > 1:
        return "grouped"
    return "pointwise" if slot.kernel_size == (1, 1) else "spatial"


def _matches(found: NetworkAnalysis) -> Iterator[tuple[str, list[Slot]]]:
    """Give wildcards that tell the kinds of slots apart, with the slots that each is the first for.

    The first slot that reads the image comes first: hardly anything is to be won there.
    """
    stem = found.slots[0]
    kinds = {slot.name: _kind(slot) for slot in found.slots}
    kinds[stem.name] = "stem"
    taken: set[str] = set()
    for slot in found.slots:
        if slot.name in taken:
            continue
        for wildcard in _wildcards(slot.name):
            new = {name for name in kinds if fnmatchcase(name, wildcard)} - taken
            if {kinds[name] for name in new} == {kinds[slot.name]}:
                break
        yield wildcard, [other for other in found.slots if other.name in new]
        taken |= new


def _wildcards(name: str) -> Iterator[str]:
    """Put stars in the place of numbers, fewer and fewer of them from the right."""
    parts = [glob.escape(part) for part in re.split(r"(\d+)", name)]
    numbers = len(parts) // 2
    for stars in range(numbers, 0, -1):
        own = ["*" if i % 2 and i // 2 < stars else part for i, part in enumerate(parts)]
        yield re.sub(r"\*(\.\*)+", "*", "".join(own))
    yield glob.escape(name)


def _rule(match: str, slots: Sequence[Slot]) -> str:
    """Write a rule that leaves something to choose, or one that keeps the slots."""
    lines = [f'  - match: "{match}"']
    dials = [] if slots[0].in_channels <= 3 else list(_dials(slots))
    lines += dials or ["keep: true                   # as it is"]
    return "\n    ".join(lines) + "\n"


def _dials(slots: Sequence[Slot]) -> Iterator[str]:
    groups = [g for g in GROUPS if any(slot.in_channels % g == 0 for slot in slots)]
    sparse = any(k == j and k % 2 and k > 1 for k, j in (slot.kernel_size for slot in slots))
    kind = _kind(slots[0])
    if kind == "grouped":
        if sparse:
            yield "kernel_shape: [full, cross, saltire]"
            depthwise = all(slot.groups == slot.in_channels for slot in slots)
            own = "all" if depthwise else sorted({slot.groups for slot in slots})
            yield f"groups: {own}                 # as it is"
        return
    if kind == "spatial":
        yield "separable: [false, true]     # depthwise, then 1 x 1 with the dials below"
        if sparse:
            yield "kernel_shape: [full, cross, corners]"
    if len(groups) > 1:
        yield f"groups: {groups}"
        yield "channel_stride: [block, 0.5] # side by side, or overlapping by half"
    if kind == "spatial":
        yield "# binary_basis: [0, 64]      # kernels stacked from 64 shared ones of +1 and -1"
