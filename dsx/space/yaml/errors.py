"""Conversion of pydantic's validation errors into one-line error messages."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from dsx.errors import SpaceError, did_you_mean, short
from dsx.space.yaml.source import Path, Source

_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a string",
    "bool_type": "true, false",
    "list_type": "a list",
    "dict_type": "keys with values",
    "too_short": "at least one",
    "string_too_short": "at least {min_length} character",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
}


def to_space_error(error: ValidationError, source: Source, schema: type[BaseModel]) -> SpaceError:
    """Convert the first validation error into a one-line message.

    Args:
        error: Validation error of pydantic.
        source: Space file.
        schema: Schema against which the file was validated.

    Returns:
        The error, which states file, line, key, and what is allowed.
    """
    # A misspelt key is also reported as a missing key; the misspelt one is more informative.
    first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    return source.error(_existing_path(first["loc"], source), _problem(dict(first), schema))


def _existing_path(loc: Path, source: Source) -> Path:
    """Remove the parts that pydantic appends to a path, such as the branch of a union."""
    path: Path = ()
    for part in loc:
        if (*path, part) not in source.lines:
            break
        path = (*path, part)
    return path


def _problem(error: Mapping[str, Any], schema: type[BaseModel]) -> str:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        key, allowed = str(error["loc"][-1]), _keys(schema, error["loc"][:-1])
        return f"unknown key (allowed: {', '.join(allowed)}).{did_you_mean(key, allowed)}"
    if kind == "missing":
        return f"the key '{error['loc'][-1]}' is missing"
    if kind == "literal_error":
        allowed = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        near = did_you_mean(str(given), allowed)
        return f"{short(repr(given))} is not allowed (allowed: {', '.join(allowed)}).{near}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "model_type":
        expected = f"the keys {', '.join(_keys(schema, error['loc']))}"
    else:
        expected = _EXPECTED[kind].format(**context) if kind in _EXPECTED else str(error["msg"])
    if given is None:
        return f"has no value (allowed: {expected})"
    return f"{short(repr(given))} is not allowed (allowed: {expected})"


def _keys(schema: type[BaseModel], loc: Path) -> list[str]:
    """List the keys that are allowed at a place in the file."""
    for part in loc:
        if isinstance(part, str):
            annotation = schema.model_fields[part].annotation
            inner = (*get_args(annotation), annotation)[0]
            assert isinstance(inner, type) and issubclass(inner, BaseModel)
            schema = inner
    return list(schema.model_fields)
