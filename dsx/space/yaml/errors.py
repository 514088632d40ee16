"""Turn what pydantic finds wrong with a space file into one line for its author."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from dsx.errors import SpaceError, did_you_mean, short
from dsx.space.yaml.source import Path, Source

_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a word",
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


def complaint(error: ValidationError, source: Source, schema: type[BaseModel]) -> SpaceError:
    """Complain of the first thing that is wrong.

    Args:
        error: What pydantic found.
        source: The file.
        schema: What the file was checked against.

    Returns:
        The error, to be raised: file, line, key, what is allowed.
    """
    # A misspelt key is also a missing one: the word that stands there says more.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    return source.error(_known_path(first["loc"], source), _problem(dict(first), schema))


def _known_path(loc: Path, source: Source) -> Path:
    """Drop pydantic's own words (which branch of a union, ...) from the end of a path."""
    path: Path = ()
    for part in loc:
        if (*path, part) not in source.lines:
            break
        path = (*path, part)
    return path


def _problem(error: Mapping[str, Any], schema: type[BaseModel]) -> str:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        word, allowed = str(error["loc"][-1]), _keys(schema, error["loc"][:-1])
        return f"unknown key (allowed: {', '.join(allowed)}).{did_you_mean(word, allowed)}"
    if kind == "missing":
        return f"the key '{error['loc'][-1]}' is missing"
    if kind == "literal_error":
        allowed = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        near = did_you_mean(str(given), allowed)
        return f"{short(repr(given))} is not allowed (allowed: {', '.join(allowed)}).{near}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "model_type":
        wanted = f"the keys {', '.join(_keys(schema, error['loc']))}"
    else:
        wanted = _WANTED[kind].format(**context) if kind in _WANTED else str(error["msg"])
    if given is None:
        return f"has no value (allowed: {wanted})"
    return f"{short(repr(given))} does not fit (allowed: {wanted})"


def _keys(schema: type[BaseModel], loc: Path) -> list[str]:
    """List the keys that are allowed at a place in the file."""
    for part in loc:
        if isinstance(part, str):
            annotation = schema.model_fields[part].annotation
            inner = (*get_args(annotation), annotation)[0]
            assert isinstance(inner, type) and issubclass(inner, BaseModel)
            schema = inner
    return list(schema.model_fields)
