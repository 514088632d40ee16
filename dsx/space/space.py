"""SearchSpace: a checked space file, with the network it is about."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

import dsx
from dsx.activity import Kind, activity
from dsx.conv import ConvSpec, Cost, set_mode
from dsx.data import Data, Splits, open_data
from dsx.errors import DsxError, SpaceError, did_you_mean, quoted
from dsx.nets import network_builder
from dsx.space.design import Design
from dsx.space.network.analysis import NetworkAnalysis, analysis
from dsx.space.network.model import build_with_notes, check_alone, check_arguments, unwrap_logits
from dsx.space.network.network import copied
from dsx.space.options.choices import Choices, Pick
from dsx.space.options.rules import rule_choices
from dsx.space.recipe import fitted
from dsx.space.weights.pretrained import (
    WeightsTaken,
    digest,
    read_weights,
    take_weights,
    weights_path,
)
from dsx.space.weights.state_dicts import Named, StateDict
from dsx.space.yaml.schema import SpaceFile, Weights, parse_space
from dsx.space.yaml.source import Source, read_source
from dsx.space.yaml.text import MOST_CHARACTERS
from dsx.trust import give, import_paths

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
        built_notes: Notes for the user about how the network is built.
    """

    name: str
    source: Source
    file: SpaceFile
    data: Data
    analysis: NetworkAnalysis
    choices: tuple[Choices, ...]
    built_notes: tuple[str, ...] = ()

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
        return Design.of(self.file.model, self.file.model_args, self.analysis, specs)

    def sample(self, pick: Pick) -> Design:
        """Draw a design.

        Args:
            pick: Draws one of several options of a named parameter.

        Returns:
            The design.
        """
        specs: dict[str, ConvSpec] = {}
        for choices in self.choices:
            specs |= choices.sample(pick)
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
        return self.analysis.cost(design.specs)

    def cost_range(self) -> tuple[Cost, Cost]:
        """Give the least and the most that any design costs, each number by itself."""
        changes = [_setting_costs(choices) for choices in self.choices]
        bounds = []
        for best in (min, max):
            total = self.analysis.cost({})
            params, flops, bits = total.params, total.flops, total.bits
            for standing, offered in changes:
                params += best(cost.params for cost in offered) - standing.params
                flops += best(cost.flops for cost in offered) - standing.flops
                bits += best(cost.bits for cost in offered) - standing.bits
            bounds.append(Cost(params=params, flops=flops, bits=bits, expected=self.learned))
        return bounds[0], bounds[1]

    def network(self, fresh: bool = False) -> nn.Module:
        """Build the network.

        Args:
            fresh: Whether it shall not have the weights to begin with, if there are any.

        Returns:
            The network; fresh weights are those that the training seed gives.
        """
        network, _ = _build(self.file, self.source, self.data)
        if self.file.weights is not None and not fresh:
            self._take_weights(network, self.file.weights)
        if self.analysis.wrapped:
            unwrap_logits(network)
        return network

    def _take_weights(self, network: nn.Module, given: Weights) -> Named:
        state, skip, prefix = self.weights, given.skip, given.prefix
        return _named(self.source, "weights", lambda: take_weights(network, state, skip, prefix))

    @functools.cached_property
    def weights_taken(self) -> WeightsTaken | None:
        """Weights that were read from the file; None without a file, or if it is missing."""
        given = self.file.weights
        if given is None or self.missing is not None:
            return None
        network, _ = _build(self.file, self.source, self.data)
        named = self._take_weights(network, given)
        return WeightsTaken(
            file=given.file,
            key=self.weights.key,
            prefix=named.prefix,
            ignored=named.ignored,
            wrapping=named.wrapping,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user about how the network and its weights are read."""
        taken = self.weights_taken
        return self.built_notes if taken is None else (*self.built_notes, *taken.notes)

    @property
    def imports(self) -> frozenset[str]:
        """Import paths that the file names, and all other text with a colon."""
        return import_paths(self.source.content)

    @property
    def is_user_model(self) -> bool:
        """Whether the network is given by an import path, so that its code is not dsx's."""
        return ":" in self.file.model

    @property
    def missing(self) -> str | None:
        """The file of weights to begin with, where it is not there yet; a search needs it."""
        given = self.file.weights
        if given is None:
            return None
        path = _named(self.source, "weights", lambda: weights_path(given.file))
        return None if path.exists() else given.file

    @functools.cached_property
    def weights(self) -> StateDict:
        """State dict that the network begins with, read when first asked for; may be empty."""
        given = self.file.weights
        return (
            StateDict()
            if given is None
            else _named(self.source, "weights", lambda: read_weights(given.file, given.key))
        )

    @functools.cached_property
    def splits(self) -> Splits:
        """The data's splits, loaded when first asked for."""
        with activity(Kind.LOADING_DATA):
            return _named(self.source, _data_key(self.file), lambda: self.data.splits)

    @functools.cached_property
    def training(self) -> dict[str, Any]:
        """What the weights of a trained network depend on beside the design: plain JSON values."""
        facts: dict[str, Any] = {
            "data": self.file.data,
            # Whatever the arguments say: where the files lie makes no difference.
            "images": self.splits.fingerprint,
            "train": self.file.train.model_dump(),
        }
        if self.file.weights is not None:
            facts["weights"] = [digest(self.weights), *self.file.weights.skip]
            if self.file.weights.prefix is not None:
                facts["weights_prefix"] = self.file.weights.prefix
        return facts


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
        with path.open(encoding="utf-8") as opened:
            # One character more than is allowed, of a file of any size.
            text = opened.read(MOST_CHARACTERS + 1)
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SpaceError(f"{path}: cannot be read: it is not UTF-8 text") from error
    source = read_source(str(name) if str(name).endswith(path.suffix) else path.name, text)
    # Naming the file runs what is in it, as with any program.
    give(import_paths(source.content))
    return _build_space(path.stem, source)


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
    return _build_space(name, read_source(file, text))


def _build_space(name: str, source: Source) -> SearchSpace:
    content = parse_space(source)
    data = _open(content, source)
    for key, problem in content.train.augment.misfits(*data.image_shape[1:]).items():
        raise source.error(("train", "augment", key), problem)
    with activity(Kind.BUILDING_NETWORK):
        network, notes = _build(content, source, data)
        trained = fitted(content.train, network, data.image_shape)
    content = content.model_copy(update={"train": trained})
    with activity(Kind.COUNTING):
        found = _named(source, "model", lambda: _census(network, data, content))
    if found.output_shape != (data.classes,):
        numbers = " x ".join(str(side) for side in found.output_shape) or "1"
        problem = f"returns {numbers} numbers for an image, the data has {data.counted_classes}"
        raise source.error(("model",), problem + _also(data))
    space = SearchSpace(
        name=name,
        source=source,
        file=content,
        data=data,
        analysis=found,
        choices=tuple(rule_choices(content.slots, source, found)),
        built_notes=notes,
    )
    if space.missing is None and content.weights is not None:
        space.network()
    return space


def _also(data: Data) -> str:
    """Say what is wrong with the data too, which may be why there are so many classes."""
    try:
        labels = [int(split.labels.max()) for split in data.splits.parts.values()]
    except DsxError as error:
        return f" (and {error})"
    return f" (the largest label is {max(labels)})"


def _census(network: nn.Module, data: Data, content: SpaceFile) -> NetworkAnalysis:
    # Of two images: what is true of one alone is easily mistaken for the batch.
    sample = torch.zeros(2, *data.image_shape)
    found = analysis(network, sample, kept=content.weights is not None)
    if content.measure.batch == 1:
        check_alone(set_mode(copied(network), False), data.image_shape)
    return found


def _named(source: Source, key: str, find_it: Callable[[], T]) -> T:
    """Find what a key names; whatever goes wrong is about that key."""
    try:
        return find_it()
    except DsxError as error:
        raise source.error((key,), str(error)) from error


def _open(content: SpaceFile, source: Source) -> Data:
    return _named(source, _data_key(content), lambda: open_data(content.data, content.data_args))


def _data_key(content: SpaceFile) -> str:
    """What is wrong with data is about their arguments, if there are any."""
    return "data_args" if "data_args" in content.model_fields_set else "data"


def _build(content: SpaceFile, source: Source, data: Data) -> tuple[nn.Module, tuple[str, ...]]:
    _named(source, "model", lambda: network_builder(content.model))
    key = "model_args" if "model_args" in content.model_fields_set else "model"
    _named(source, key, lambda: check_arguments(content.model_args))
    seed, shape = content.train.seed, data.image_shape
    name, arguments = content.model, content.model_args
    return _named(source, key, lambda: build_with_notes(name, arguments, shape, seed))


def _space_path(name: str) -> Path:
    if Path(name).suffix in (".yaml", ".yml"):
        if not _is_file(name):
            near = did_you_mean(Path(name).stem, shipped_spaces())
            raise SpaceError(f"{name}: there is no such file.{near}")
        return Path(name)
    spaces = shipped_spaces()
    if name not in spaces:
        raise SpaceError(
            f"no search space called {quoted(name)} (allowed: {', '.join(spaces)}, "
            f"or the path of a .yaml file).{did_you_mean(name, spaces)}"
        )
    return spaces[name]


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError as error:
        raise SpaceError(f"{name}: cannot be read: {error.strerror}") from error


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
