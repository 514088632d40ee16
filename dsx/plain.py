"""Numbers from outside, as Python's own: what enters dsx is normalised once, where it enters.

numpy, tensors without dimensions and others have numbers that compute like Python's, but that JSON,
databases and `isinstance` do not take for numbers. The types that hold numbers of users call
`plain_fields` when they are made, so that all code behind them meets only Python's.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real
from typing import Any


def plain(value: Any) -> Any:
    """Convert numbers that only behave like Python's into Python's.

    Args:
        value: Any value: a number of numpy or another library, a fraction, a tensor or an array, or
            a mapping, list or tuple of values.

    Returns:
        The same with int, float, bool and str; an array or tensor with dimensions as lists. What
        holds no number is returned as it is.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        items = [plain(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    dimensions = getattr(value, "ndim", None)
    if isinstance(dimensions, int) and hasattr(value, "tolist"):
        # Of no dimensions, it is a single number.
        found = value.tolist()
        return float(found) if type(found) is type(value) else found
    # Not str(value): that of an enumeration is the name of its member.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real | Decimal) else value


def written(value: Any) -> Any:
    """Convert a number into Python's as the decimal or fraction that it is written as.

    Args:
        value: Any value.

    Returns:
        0.1 for numpy's float32 of 0.1, whose exact value has more digits; "1/3" for a Fraction; for
        anything else what `plain` returns.
    """
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Real) and hasattr(value, "ndim") and not isinstance(value, Integral):
        return float(str(value))
    return plain(value)


def canonical_hash(value: Any, digits: int = 12) -> str:
    """Hash plain JSON values, independently of the order of keys.

    Args:
        value: Plain JSON values.
        digits: Number of hexadecimal digits, at most 64.

    Returns:
        The first digits of the SHA-256 of the canonical JSON.
    """
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def plain_fields(instance: Any) -> None:
    """Convert the numbers in the fields of a dataclass into Python's, in place.

    Args:
        instance: A dataclass instance that is being made; it may be frozen.
    """
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        converted = plain(value)
        if converted is not value:
            object.__setattr__(instance, field.name, converted)
