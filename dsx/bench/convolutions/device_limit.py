"""The limit of the device: its rate of multiply-adds, and its bandwidth by size."""

import dataclasses
import functools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dsx.bench._rounds import Effort, time_rounds

GEMM_SIDES = (256, 384, 512, 768, 1024, 1536)
COPIED_MEGABYTES = (0.25, 1.0, 4.0, 16.0, 64.0)
"""Sizes of copies, counted for reading and writing together."""
REPEATS = 3
EFFORT = Effort(seconds=0.5, least=7, most=15)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The measured limits of the device for one number of threads.

    Args:
        flops_per_s: Largest rate of multiply-adds of a matrix product, each counted as 1.
        bandwidths: Bytes that a copy reads and writes, and its rate in bytes per second.
    """

    flops_per_s: float
    bandwidths: tuple[tuple[float, float], ...]

    def seconds(self, flops: float, size: float) -> float:
        """Compute the least time of an operation.

        Args:
            flops: Number of multiply-adds.
            size: Number of bytes that it reads and writes at least.

        Returns:
            The larger of the times for the multiply-adds and for the bytes.
        """
        fitting = [rate for bytes_, rate in self.bandwidths if size <= bytes_]
        rate = fitting[0] if fitting else self.bandwidths[-1][1]
        return max(flops / self.flops_per_s, size / rate)

    def to_json(self) -> dict[str, Any]:
        """Return the limits as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Limit":
        """Build limits from the return value of `to_json`.

        Args:
            values: Value of each field.

        Returns:
            The limits.
        """
        bandwidths = tuple((size, rate) for size, rate in values["bandwidths"])
        return cls(flops_per_s=values["flops_per_s"], bandwidths=bandwidths)


def measure_limit(effort: Effort = EFFORT) -> Limit:
    """Measure the limits with the current number of threads of torch.

    Args:
        effort: Effort for each size.

    Returns:
        The best rates of several sizes and repeats.
    """
    with torch.inference_mode():
        squares = {str(side): torch.randn(side, side) for side in GEMM_SIDES}
        products = {name: functools.partial(torch.mm, m, m) for name, m in squares.items()}
        rates = [
            len(squares[name]) ** 3 / seconds
            for _ in range(REPEATS)
            for each in time_rounds(products, effort, always=products)
            for name, seconds in each.items()
        ]
        return Limit(
            flops_per_s=max(rates),
            bandwidths=tuple(
                (size * 2**20, _bandwidth(size * 2**20, effort)) for size in COPIED_MEGABYTES
            ),
        )


def _bandwidth(size: float, effort: Effort) -> float:
    """Return the bytes per second of a copy that reads and writes a number of bytes."""
    source = torch.randn(round(size / 8))
    target = torch.empty_like(source)
    copies = {"copy": functools.partial(target.copy_, source)}
    repeats = [time_rounds(copies, effort, always=copies) for _ in range(REPEATS)]
    return max(size / statistics.median(each["copy"] for each in rounds) for rounds in repeats)
