"""SearchSpace: a validated space file together with its network and data."""

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
from dsx.space.network.analysis import NetworkAnalysis, analyse_network
from dsx.space.network.model import (
    build_model,
    check_arguments,
    check_single_image,
    unwrap_logits,
)
from dsx.space.network.network import copy_network
from dsx.space.options.rules import rule_options
from dsx.space.options.slot_options import Selector, SlotOptions
from dsx.space.recipe import fit_training
from dsx.space.weights.pretrained import (
    LoadedWeights,
    digest,
    load_weights,
    read_weights,
    weights_path,
)
from dsx.space.weights.state_dicts import RenamedState, StateDict
from dsx.space.yaml.schema import SpaceFile, Weights, parse_space
from dsx.space.yaml.source import Source, read_source
from dsx.space.yaml.text import MAX_CHARACTERS
from dsx.trust import import_paths, trust_paths

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Search space: a network, its data, the options of its slots, and the objectives.

    Args:
        name: File name without its extension.
        source: Text of the file, and the line of each key.
        file: Validated content of the file.
        data: Dataset, loaded when it is first needed.
        analysis: Network analysis of the network: its slots and costs.
        slot_options: Options of each slot, or of each group of slots that share one setting.
        model_notes: Notes for the user about how the network is built.
    """

    name: str
    source: Source
    file: SpaceFile
    data: Data
    analysis: NetworkAnalysis
    slot_options: tuple[SlotOptions, ...]
    model_notes: tuple[str, ...] = ()

    @property
    def baseline(self) -> Design:
        """The design in which every slot is unchanged."""
        return self.design({})

    def design(self, specs: Mapping[str, ConvSpec]) -> Design:
        """Build a design from the specs of some slots.

        Args:
            specs: Spec by slot name; other slots are unchanged.

        Returns:
            The design.

        Raises:
            SpecError: If there is no such slot, or a spec cannot be applied to its slot.
        """
        return Design.of(self.file.model, self.file.model_args, self.analysis, specs)

    def sample(self, select: Selector) -> Design:
        """Sample a design.

        Args:
            select: Function that selects one of several options of a named parameter.

        Returns:
            The design.
        """
        specs: dict[str, ConvSpec] = {}
        for options in self.slot_options:
            specs |= options.sample(select)
        return self.design(specs)

    @property
    def size(self) -> int:
        """The number of distinct designs."""
        return math.prod(len(options.settings()) for options in self.slot_options)

    @property
    def learned(self) -> bool:
        """Whether any design of the space has learned shapes."""
        return any(options.learned for options in self.slot_options)

    def cost(self, design: Design) -> Cost:
        """Compute the closed-form cost of a design.

        Args:
            design: Design of the network of the space.

        Returns:
            The cost of the whole network.
        """
        return self.analysis.cost(design.specs)

    def cost_range(self) -> tuple[Cost, Cost]:
        """Compute the smallest and the largest closed-form cost over all designs.

        Returns:
            Two costs; each component is minimised or maximised independently of the others.
        """
        costs = [_setting_costs(options) for options in self.slot_options]
        bounds = []
        for best in (min, max):
            total = self.analysis.cost({})
            params, flops, bits = total.params, total.flops, total.bits
            for original, settings in costs:
                params += best(cost.params for cost in settings) - original.params
                flops += best(cost.flops for cost in settings) - original.flops
                bits += best(cost.bits for cost in settings) - original.bits
            bounds.append(Cost(params=params, flops=flops, bits=bits, expected=self.learned))
        return bounds[0], bounds[1]

    def network(self, fresh: bool = False) -> nn.Module:
        """Build the network.

        Args:
            fresh: Whether to initialise all weights with the training seed, even if the space has a
                weight file.

        Returns:
            The network, with the weights of the weight file if there is one.
        """
        network, _ = _build(self.file, self.source, self.data)
        if self.file.weights is not None and not fresh:
            self._load_weights(network, self.file.weights)
        if self.analysis.wrapped:
            unwrap_logits(network)
        return network

    def _load_weights(self, network: nn.Module, weights: Weights) -> RenamedState:
        state, skip, prefix = self.weights, weights.skip, weights.prefix
        return _at_key(self.source, "weights", lambda: load_weights(network, state, skip, prefix))

    @functools.cached_property
    def loaded_weights(self) -> LoadedWeights | None:
        """The weights loaded from the weight file; None if there is no file, or it is missing."""
        weights = self.file.weights
        if weights is None or self.missing is not None:
            return None
        network, _ = _build(self.file, self.source, self.data)
        renamed = self._load_weights(network, weights)
        return LoadedWeights(
            file=weights.file,
            key=self.weights.key,
            prefix=renamed.prefix,
            ignored=renamed.ignored,
            wrapping=renamed.wrapping,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user about how the network and its weights are loaded."""
        loaded = self.loaded_weights
        return self.model_notes if loaded is None else (*self.model_notes, *loaded.notes)

    @property
    def imports(self) -> frozenset[str]:
        """Import paths in the file, and all other strings with a colon."""
        return import_paths(self.source.content)

    @property
    def is_user_model(self) -> bool:
        """Whether the model is specified by an import path, so that its code is not part of dsx."""
        return ":" in self.file.model

    @property
    def missing(self) -> str | None:
        """The path of the weight file if it does not exist although a search requires it."""
        weights = self.file.weights
        if weights is None:
            return None
        path = _at_key(self.source, "weights", lambda: weights_path(weights.file))
        return None if path.exists() else weights.file

    @functools.cached_property
    def weights(self) -> StateDict:
        """State dict of the weight file, read on first access; empty if the space has no file."""
        weights = self.file.weights
        if weights is None:
            return StateDict()
        return _at_key(self.source, "weights", lambda: read_weights(weights.file, weights.key))

    @functools.cached_property
    def splits(self) -> Splits:
        """Splits of the dataset, loaded on first access."""
        with activity(Kind.LOADING_DATA):
            return _at_key(self.source, _data_key(self.file), lambda: self.data.splits)

    @functools.cached_property
    def training(self) -> dict[str, Any]:
        """Everything except the design that trained weights depend on, as plain JSON values."""
        facts: dict[str, Any] = {
            "data": self.file.data,
            # Not the arguments: the location of the files makes no difference.
            "images": self.splits.fingerprint,
            "train": self.file.train.model_dump(),
        }
        if self.file.weights is not None:
            facts["weights"] = [digest(self.weights), *self.file.weights.skip]
            if self.file.weights.prefix is not None:
                facts["weights_prefix"] = self.file.weights.prefix
        return facts


def _setting_costs(options: SlotOptions) -> tuple[Cost, list[Cost]]:
    """Compute the cost of the original convolutions, and that of each setting."""
    zero = Cost(params=0, flops=0, bits=0)
    original = sum((slot.cost() for slot in options.slots), zero)
    settings = [
        sum((slot.cost(setting[slot.name]) for slot in options.slots), zero)
        for setting in options.settings()
    ]
    return original, settings


def load_space(name: str | Path) -> SearchSpace:
    """Load a search space and check everything that can be checked before the first trial.

    Args:
        name: Name of a bundled search space, or the path of a YAML file.

    Returns:
        The search space.

    Raises:
        SpaceError: If the file is invalid; states file, line and key of the first error, and what
            is allowed.
    """
    path = _space_path(str(name))
    try:
        with path.open(encoding="utf-8") as opened:
            # One character more than allowed, so that a file of any size is read in bounded time.
            text = opened.read(MAX_CHARACTERS + 1)
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SpaceError(f"{path}: cannot be read: it is not UTF-8 text") from error
    source = read_source(str(name) if str(name).endswith(path.suffix) else path.name, text)
    # A user who names a file trusts the code that it imports, as with any program.
    trust_paths(import_paths(source.content))
    return _build_space(path.stem, source)


def build_space(name: str, file: str, text: str) -> SearchSpace:
    """Build a search space from the text of a space file.

    Args:
        name: Name of the search space.
        file: Name of the file in error messages.
        text: Content of the file, in YAML.

    Returns:
        The search space.

    Raises:
        SpaceError: If the text is invalid; states file, line and key of the first error, and what
            is allowed.
    """
    return _build_space(name, read_source(file, text))


def _build_space(name: str, source: Source) -> SearchSpace:
    content = parse_space(source)
    data = _open(content, source)
    for key, problem in content.train.augment.size_errors(*data.image_shape[1:]).items():
        raise source.error(("train", "augment", key), problem)
    with activity(Kind.BUILDING_NETWORK):
        network, notes = _build(content, source, data)
        trained = fit_training(content.train, network, data.image_shape)
    content = content.model_copy(update={"train": trained})
    with activity(Kind.COUNTING):
        analysis = _at_key(source, "model", lambda: _analyse(network, data, content))
    if analysis.output_shape != (data.classes,):
        numbers = " x ".join(str(side) for side in analysis.output_shape) or "1"
        problem = f"returns {numbers} numbers for an image, the data has {data.counted_classes}"
        raise source.error(("model",), problem + _label_note(data))
    space = SearchSpace(
        name=name,
        source=source,
        file=content,
        data=data,
        analysis=analysis,
        slot_options=tuple(rule_options(content.slots, source, analysis)),
        model_notes=notes,
    )
    if space.missing is None and content.weights is not None:
        space.network()
    return space


def _label_note(data: Data) -> str:
    """Return a note on the labels, which may explain the number of classes."""
    try:
        labels = [int(split.labels.max()) for split in data.splits.parts.values()]
    except DsxError as error:
        return f" (and {error})"
    return f" (the largest label is {max(labels)})"


def _analyse(network: nn.Module, data: Data, content: SpaceFile) -> NetworkAnalysis:
    # Two images, since a batch dimension of size 1 can be confused with others.
    sample = torch.zeros(2, *data.image_shape)
    analysis = analyse_network(network, sample, keep_weights=content.weights is not None)
    if content.measure.batch == 1:
        check_single_image(set_mode(copy_network(network), False), data.image_shape)
    return analysis


def _at_key(source: Source, key: str, load: Callable[[], T]) -> T:
    """Load what a key specifies; any error is reported at the line of that key."""
    try:
        return load()
    except DsxError as error:
        raise source.error((key,), str(error)) from error


def _open(content: SpaceFile, source: Source) -> Data:
    return _at_key(source, _data_key(content), lambda: open_data(content.data, content.data_args))


def _data_key(content: SpaceFile) -> str:
    """Return the key at which errors of the dataset are reported: its arguments if present."""
    return "data_args" if "data_args" in content.model_fields_set else "data"


def _build(content: SpaceFile, source: Source, data: Data) -> tuple[nn.Module, tuple[str, ...]]:
    _at_key(source, "model", lambda: network_builder(content.model))
    key = "model_args" if "model_args" in content.model_fields_set else "model"
    _at_key(source, key, lambda: check_arguments(content.model_args))
    seed, shape = content.train.seed, data.image_shape
    name, arguments = content.model, content.model_args
    return _at_key(source, key, lambda: build_model(name, arguments, shape, seed))


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
    """Find the search spaces that are bundled with dsx.

    Returns:
        Paths of the space files by name: inside the installed package, or next to it in a checkout.
    """
    package = Path(dsx.__path__[0])
    folder = package / "search_spaces"
    if not folder.is_dir():
        folder = package.parent / "search_spaces"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}
