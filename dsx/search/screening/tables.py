"""Tables of the settings of each slot: closed-form costs, features and probabilities.

A design is represented by a row of integers, the number of the setting of each slot (or of each
group of slots that share one setting). Its params, FLOPs and bits are sums over the tables, so that
thousands of designs are compared without building any.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsx.conv import ConvSpec, Cost
from dsx.search.sampling.encoding import KEEP_SHARE
from dsx.space import Design, SearchSpace, Slot, SlotOptions
from dsx.space.options import Fork, Tree

Values = NDArray[np.float64]
Rows = NDArray[np.intp]

MAX_SETTINGS = 100_000
"""Largest number of settings of a slot; of more settings, a random sample is used."""
COSTS = ("params", "flops", "bits")


@dataclass(frozen=True, kw_only=True)
class SlotTable:
    """The settings of one slot, or of slots that share one setting.

    Args:
        options: Options of the slots.
        settings: Canonical specs by slot name, for each setting; the first keeps all slots.
        costs: (n, 3) params, FLOPs and bits of the slots.
        features: (n, w) dials and relative costs; the same columns for every slot of the space.
        learned: (n,) whether a setting has learned shapes.
        shares: (n,) probability of each setting in random designs.
    """

    options: SlotOptions
    settings: Sequence[Mapping[str, ConvSpec]]
    costs: Values
    features: Values
    learned: NDArray[np.bool_]
    shares: Values

    @functools.cached_property
    def numbers(self) -> dict[tuple[ConvSpec, ...], int]:
        """The number of each setting by its specs."""
        return {tuple(each.values()): number for number, each in enumerate(self.settings)}


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables of all slots of a search space.

    Args:
        space: The search space.
        slots: Table of each slot.
    """

    space: SearchSpace
    slots: tuple[SlotTable, ...]

    @classmethod
    def of(cls, space: SearchSpace, seed: int = 0) -> "Tables":
        """Compute the tables of a search space.

        Args:
            space: The search space.
            seed: Random seed of the sample where a slot has too many settings.

        Returns:
            The tables.
        """
        rng = np.random.default_rng(seed)
        chosen = [_settings(options, rng) for options in space.slot_options]
        costs = [
            _costs(options, settings)
            for options, settings in zip(space.slot_options, chosen, strict=True)
        ]
        vocabulary = sorted({each for own in chosen for each in _words(own)})
        tables = [
            SlotTable(
                options=options,
                settings=settings,
                costs=cost,
                features=_features(settings, cost, vocabulary),
                learned=np.array([_first(each).learned for each in settings]),
                shares=_shares(options, settings),
            )
            for options, settings, cost in zip(space.slot_options, chosen, costs, strict=True)
        ]
        return cls(space=space, slots=tuple(tables))

    @functools.cached_property
    def baseline(self) -> Values:
        """The params, FLOPs and bits of the baseline, (3,)."""
        cost = self.space.cost(self.space.baseline)
        return np.array([getattr(cost, name) for name in COSTS], dtype=float)

    def random(self, count: int, rng: np.random.Generator) -> Rows:
        """Sample designs.

        Args:
            count: Number of designs.
            rng: Source of randomness.

        Returns:
            (count, slots) numbers of settings.
        """
        columns = [
            rng.choice(len(table.settings), size=count, p=table.shares) for table in self.slots
        ]
        return np.stack(columns, axis=1)

    def costs(self, rows: Rows) -> Values:
        """Compute the costs of designs.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            (n, 3) params, FLOPs and bits; those of learned shapes are expected ones.
        """
        total = np.tile(self.baseline, (len(rows), 1))
        for column, table in zip(rows.T, self.slots, strict=True):
            total += table.costs[column] - table.costs[0]
        return total

    def cost_objects(self, rows: Rows) -> list[Cost]:
        """Compute the costs of designs as the metrics take them.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            Cost of each design.
        """
        learned = self.learned(rows).tolist()
        costs = self.costs(rows).astype(np.int64).tolist()
        return [
            Cost(**dict(zip(COSTS, own, strict=True)), expected=expected)
            for own, expected in zip(costs, learned, strict=True)
        ]

    def cost_arrays(self, rows: Rows) -> Cost:
        """Compute the costs of designs as one cost whose numbers are arrays.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            The cost; a function of it may return an array of n values, or raise a `TypeError` or
            `ValueError` if it cannot process arrays.
        """
        # Not by the constructor, which accepts plain numbers only.
        cost = object.__new__(Cost)
        vars(cost).update(dict(zip(COSTS, self.costs(rows).T, strict=True)))
        vars(cost).update(expected=self.learned(rows))
        return cost

    def learned(self, rows: Rows) -> NDArray[np.bool_]:
        """Check which designs have learned shapes.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            (n,) booleans.
        """
        own = [table.learned[column] for column, table in zip(rows.T, self.slots, strict=True)]
        found: NDArray[np.bool_] = np.any(own, axis=0)
        return found

    def design(self, row: Rows) -> Design:
        """Build the design of a row.

        Args:
            row: (slots,) numbers of settings.

        Returns:
            The design.
        """
        specs: dict[str, ConvSpec] = {}
        for number, table in zip(row.tolist(), self.slots, strict=True):
            specs |= table.settings[number]
        return self.space.design(specs)

    def row(self, specs: Mapping[str, ConvSpec]) -> Rows | None:
        """Find the row of a design.

        Args:
            specs: Canonical spec of each slot.

        Returns:
            (slots,) numbers of settings; None if a setting is not in its table.
        """
        found = [
            table.numbers.get(tuple(specs[slot.name] for slot in table.options.slots))
            for table in self.slots
        ]
        return None if None in found else np.array(found, dtype=np.intp)


def _first(setting: Mapping[str, ConvSpec]) -> ConvSpec:
    return next(iter(setting.values()))


def _settings(options: SlotOptions, rng: np.random.Generator) -> Sequence[Mapping[str, ConvSpec]]:
    """Return the settings of some slots, or a sample of too many that includes the first."""
    settings = options.settings()
    if len(settings) <= MAX_SETTINGS:
        return settings
    chosen = 1 + rng.choice(len(settings) - 1, size=MAX_SETTINGS - 1, replace=False)
    return [settings[number] for number in (0, *sorted(chosen.tolist()))]


def _costs(options: SlotOptions, settings: Sequence[Mapping[str, ConvSpec]]) -> Values:
    """Compute the costs of the settings of some slots, (n, 3)."""
    # Networks have many slots that differ in name only.
    unnamed = [dataclasses.replace(slot, name="") for slot in options.slots]
    different = {slot: unnamed.count(slot) for slot in unnamed}
    total = np.zeros((len(settings), len(COSTS)))
    for slot, count in different.items():
        name = options.slots[unnamed.index(slot)].name
        costs = _slot_costs(slot, tuple(setting[name] for setting in settings))
        total += count * np.array(costs, dtype=float)
    return total


@functools.lru_cache(maxsize=128)
def _slot_costs(slot: Slot, specs: tuple[ConvSpec, ...]) -> list[list[int]]:
    found = [slot.cost_of_canonical(spec) for spec in specs]
    return [[getattr(cost, name) for name in COSTS] for cost in found]


def _dials(spec: ConvSpec) -> Iterator[tuple[tuple[str, str], float]]:
    """Encode the dials of a spec: the name of a column and its value, where that is not 0."""
    if spec.keeps:
        yield ("keep", ""), 1.0
        return
    for dial, value in spec.to_json().items():
        if isinstance(value, bool) or value is None:
            yield (dial, ""), float(bool(value))
        elif isinstance(value, str):
            yield (dial, value), 1.0
        else:
            yield (dial, "present"), 1.0
            yield (dial, "log2"), float(np.log2(1 + value))


def _words(settings: Sequence[Mapping[str, ConvSpec]]) -> set[tuple[str, str]]:
    return {word for setting in settings for word, _ in _dials(_first(setting))}


def _features(
    settings: Sequence[Mapping[str, ConvSpec]],
    costs: Values,
    vocabulary: Sequence[tuple[str, str]],
) -> Values:
    """Encode the settings of some slots by their dials and relative costs, (n, w)."""
    places = {word: place for place, word in enumerate(vocabulary)}
    dials = np.zeros((len(settings), len(vocabulary)))
    for row, setting in enumerate(settings):
        for word, value in _dials(_first(setting)):
            dials[row, places[word]] = value
    relative = np.log2(np.maximum(costs, 1) / np.maximum(costs[0], 1))
    return np.concatenate([dials, relative], axis=1)


def _shares(options: SlotOptions, settings: Sequence[Mapping[str, ConvSpec]]) -> Values:
    """Compute the probability of each setting: each branch of a fork is equally probable."""
    weights: dict[tuple[ConvSpec, ...], float] = {}
    branches: list[Tree] = [*options.presets.values()]
    branches += [] if options.dials is None else [options.dials]
    for branch in branches:
        for spec, weight in _leaves(branch, 1 / len(branches)):
            own = tuple(slot.canonical(spec) for slot in options.slots)
            weights[own] = weights.get(own, 0.0) + weight
    found = np.array([weights.get(tuple(each.values()), 0.0) for each in settings])
    found[0] = 0.0
    if not found.any():
        return np.ones(1)
    found *= (1 - KEEP_SHARE) / found.sum()
    found[0] = KEEP_SHARE
    return found


def _leaves(tree: Tree, weight: float) -> Iterator[tuple[ConvSpec, float]]:
    if not isinstance(tree, Fork):
        yield tree, weight
        return
    for branch in tree.branches.values():
        yield from _leaves(branch, weight / len(tree.branches))
