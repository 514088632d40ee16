"""Conversion of numbers of other libraries to built-in numbers, where they enter dsx.

Numbers of numpy, tensors without dimensions and others behave like built-in numbers in
computations, but JSON, databases and `isinstance` do not accept them as such. Types that hold
numbers of users call `plain_fields` when they are constructed, so that all other code handles
built-in numbers only.
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
    """Convert numbers of other libraries to built-in numbers.

    Args:
        value: Any value: a number of numpy or another library, a fraction, a tensor or an array, or
            a mapping, list or tuple of values.

    Returns:
        The value with int, float, bool and str; an array or tensor with dimensions becomes nested
        lists. Values that contain no numbers are returned unchanged.
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
        # Without dimensions, it is a single number.
        found = value.tolist()
        return float(found) if type(found) is type(value) else found
    # str(value) of a string enumeration may be the name of its member.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real | Decimal) else value


def written(value: Any) -> Any:
    """Convert a number to the built-in number with the same decimal or fractional text.

    Args:
        value: Any value.

    Returns:
        0.1 for the float32 0.1 of numpy, whose exact value has more digits; "1/3" for a Fraction;
        otherwise the result of `plain`.
    """
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Real) and hasattr(value, "ndim") and not isinstance(value, Integral):
        return float(str(value))
    return plain(value)


def canonical_hash(value: Any, digits: int = 12) -> str:
    """Compute a hash of plain JSON values that does not depend on the order of keys.

    Args:
        value: Plain JSON values.
        digits: Number of hexadecimal digits, at most 64.

    Returns:
        The first digits of the SHA-256 hash of the canonical JSON.
    """
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def plain_fields(instance: Any) -> None:
    """Convert the numbers in the fields of a dataclass to built-in numbers, in place.

    Args:
        instance: Dataclass instance under construction; it may be frozen.
    """
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        converted = plain(value)
        if converted is not value:
            object.__setattr__(instance, field.name, converted)
