"""SearchSpace: a checked space file, with the network it is about."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

import dsx
from dsx.conv import ConvSpec, Cost
from dsx.data import Data, open_data
from dsx.errors import DsxError, SpaceError, did_you_mean
from dsx.nets import network_builder
from dsx.space.choices import Choices, Pick
from dsx.space.design import Design
from dsx.space.rules import rule_choices
from dsx.space.schema import SpaceFile, parse_space
from dsx.space.slots import Census, census
from dsx.space.source import Source, read_source

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What may be chosen, for which network, on which data, towards which objectives.

    Args:
        name: File name without its ending.
        source: The file's text, and where each key stands.
        file: Its typed content.
        data: Known, and loaded once it is needed.
        census: The network's slots and costs.
        choices: What each slot, or each group of slots that share a setting, may become.
    """

    name: str
    source: Source
    file: SpaceFile
    data: Data
    census: Census
    choices: tuple[Choices, ...]

    @property
    def baseline(self) -> Design:
        """The design that leaves every slot as it is."""
        return self.design({})

    def design(self, specs: Mapping[str, ConvSpec]) -> Design:
        """Bring specs for some slots into a design.

        Args:
            specs: Spec by slot name; slots left out stay as they are.

        Returns:
            The design.

        Raises:
            SpecError: If there is no such slot, or a spec cannot be set there.
        """
        return Design.of(self.file.model, self.file.model_args, self.census, specs)

    def draw(self, pick: Pick) -> Design:
        """Draw a design.

        Args:
            pick: Draws one of several options of a named parameter.

        Returns:
            The design.
        """
        specs: dict[str, ConvSpec] = {}
        for choices in self.choices:
            specs |= choices.draw(pick)
        return self.design(specs)

    @property
    def size(self) -> int:
        """The number of different designs."""
        return math.prod(len(choices.settings()) for choices in self.choices)

    @property
    def learned(self) -> bool:
        """Whether some design has learned shapes."""
        return any(choices.learned for choices in self.choices)

    def cost(self, design: Design) -> Cost:
        """Count what a design costs, by closed form."""
        return self.census.cost(design.specs)

    def cost_range(self) -> tuple[Cost, Cost]:
        """Give the least and the most that any design costs, each number by itself."""
        changes = [_setting_costs(choices) for choices in self.choices]
        bounds = []
        for best in (min, max):
            total = self.census.cost({})
            params, flops, bits = total.params, total.flops, total.bits
            for standing, offered in changes:
                params += best(cost.params for cost in offered) - standing.params
                flops += best(cost.flops for cost in offered) - standing.flops
                bits += best(cost.bits for cost in offered) - standing.bits
            bounds.append(Cost(params=params, flops=flops, bits=bits, expected=self.learned))
        return bounds[0], bounds[1]

    def network(self) -> nn.Module:
        """Build the network, with the fresh weights that the training seed gives."""
        return _build(self.file, self.source)


def _setting_costs(choices: Choices) -> tuple[Cost, list[Cost]]:
    nothing = Cost(params=0, flops=0, bits=0)
    standing = sum((slot.cost() for slot in choices.slots), nothing)
    offered = [
        sum((slot.cost(setting[slot.name]) for slot in choices.slots), nothing)
        for setting in choices.settings()
    ]
    return standing, offered


def load_space(name: str | Path) -> SearchSpace:
    """Load a search space and check all of it that can be checked before the first trial.

    Args:
        name: A shipped space, or the path of a YAML file.

    Returns:
        The space.

    Raises:
        SpaceError: At the first thing that is wrong: file, line, key, what is allowed.
    """
    path = _space_path(str(name))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read: {error}") from error
    return build_space(path.stem, str(name) if str(name).endswith(path.suffix) else path.name, text)


def build_space(name: str, file: str, text: str) -> SearchSpace:
    """Make a search space from the text of its file.

    Args:
        name: Of the space.
        file: How messages name the file.
        text: YAML.

    Returns:
        The space.

    Raises:
        SpaceError: At the first thing that is wrong: file, line, key, what is allowed.
    """
    source = read_source(file, text)
    content = parse_space(source)
    data = _open(content, source)
    network = _build(content, source)
    try:
        found = census(network, torch.zeros(2, *data.image_shape))
    except DsxError as error:
        raise source.error(("model",), str(error)) from error
    if found.output_shape != (data.classes,):
        numbers = " x ".join(str(side) for side in found.output_shape) or "1"
        problem = f"returns {numbers} numbers for an image, the data has {data.classes} classes"
        raise source.error(("model",), problem)
    choices = tuple(rule_choices(content.slots, source, found.slots))
    return SearchSpace(
        name=name, source=source, file=content, data=data, census=found, choices=choices
    )


def _named(source: Source, key: str, find_it: Callable[[], T]) -> T:
    """Find what a key names; whatever goes wrong is about that key."""
    try:
        return find_it()
    except DsxError as error:
        raise source.error((key,), str(error)) from error


def _open(content: SpaceFile, source: Source) -> Data:
    """Open the data; what is wrong with them is about their arguments, if there are any."""
    key = "data_args" if "data_args" in content.model_fields_set else "data"
    return _named(source, key, lambda: open_data(content.data, content.data_args))


def _build(content: SpaceFile, source: Source) -> nn.Module:
    builder = _named(source, "model", lambda: network_builder(content.model))
    args = ("model_args",) if "model_args" in content.model_fields_set else ("model",)
    try:
        json.dumps(content.model_args, allow_nan=False)
    except (TypeError, ValueError) as error:
        problem = f"only words, finite numbers, true, false, null and lists of them: {error}"
        raise source.error(args, problem) from error
    with torch.random.fork_rng():
        torch.manual_seed(content.train.seed)
        try:
            network = builder(**content.model_args)
        # The user's own code, with the user's arguments: whatever it raises is about these.
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            problem = f"{content.model} cannot be built with these arguments: {reason}"
            raise source.error(args, problem) from error
    if not isinstance(network, nn.Module):
        problem = f"{content.model} returns a {type(network).__name__}, not a nn.Module"
        raise source.error(("model",), problem)
    return network


def _space_path(name: str) -> Path:
    if Path(name).suffix in (".yaml", ".yml"):
        if not Path(name).is_file():
            near = did_you_mean(Path(name).stem, shipped_spaces())
            raise SpaceError(f"{name}: there is no such file.{near}")
        return Path(name)
    spaces = shipped_spaces()
    if name not in spaces:
        raise SpaceError(
            f"no search space called '{name}' (allowed: {', '.join(spaces)}, "
            f"or the path of a .yaml file).{did_you_mean(name, spaces)}"
        )
    return spaces[name]


def shipped_spaces() -> dict[str, Path]:
    """Find the search spaces that come with dsx.

    Returns:
        Their files by name: inside the installed package, beside it in a checkout.
    """
    package = Path(dsx.__path__[0])
    folder = package / "search_spaces"
    if not folder.is_dir():
        folder = package.parent / "search_spaces"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}
