"""Results per validation example, by which designs are compared in pairs."""

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_BITS, _FLOATS = b"b", b"f"
_HEAD = struct.Struct("<cI16s")
"""Kind of the encoding, number of results, hash of the identity of the examples."""


@dataclass(frozen=True)
class ExampleResults:
    """The result of one trained network for each validation example.

    Args:
        content: Encoded results: one bit each if all are 0 or 1, otherwise a float32 each, after a
            header with their number and a hash of the identity of the examples.

    Raises:
        ValueError: If the content cannot be decoded.
    """

    content: bytes

    def __post_init__(self) -> None:
        try:
            kind, count, _ = _HEAD.unpack_from(self.content)
        except struct.error as error:
            raise ValueError(f"results per example: {error}") from error
        expected = {_BITS: math.ceil(count / 8), _FLOATS: 4 * count}.get(kind)
        if not count or len(self.content) - _HEAD.size != expected:
            raise ValueError(f"results per example: {len(self.content)} bytes of kind {kind!r}")

    @classmethod
    def of(cls, results: Sequence[float] | Numbers, examples: str) -> "ExampleResults":
        """Encode results.

        Args:
            results: Finite result for each example, at least one.
            examples: Identity of the examples and their order, such as the fingerprint of a split;
                only results with the same identity are compared in pairs.

        Returns:
            The results.

        Raises:
            ValueError: If there are no results, or one is not finite.
        """
        values = np.asarray(results, dtype=np.float32).reshape(-1)
        if not np.isfinite(values).all():
            raise ValueError("results per example: a result is not finite")
        is_binary = bool(np.isin(values, (0, 1)).all())
        packed = np.packbits(values.astype(bool)) if is_binary else values.astype("<f4")
        name = hashlib.sha256(examples.encode()).digest()
        head = _HEAD.pack(_BITS if is_binary else _FLOATS, len(values), name)
        return cls(head + packed.tobytes())

    @property
    def count(self) -> int:
        """Number of examples."""
        number: int = _HEAD.unpack_from(self.content)[1]
        return number

    @property
    def examples(self) -> bytes:
        """Number and hash of the examples, which are equal for results that can be paired."""
        return self.content[1 : _HEAD.size]

    @property
    def is_binary(self) -> bool:
        """Whether all results are 0 or 1, such as whether a prediction is correct."""
        return self.content.startswith(_BITS)

    @property
    def values(self) -> Numbers:
        """The results, (n,), in the order of the examples."""
        packed = self.content[_HEAD.size :]
        if self.is_binary:
            bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=self.count)
            return bits.astype(np.float64)
        return np.frombuffer(packed, dtype="<f4").astype(np.float64)
