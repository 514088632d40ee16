"""Print the keys of a part of a space file as a Markdown table, from the schema.

python docs/keys.py train     # or: augment, measure, weights
"""

import json
import sys

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dsx.space.yaml.schema import DEFAULTS, Augment, Measure, Train, Weights

PARTS: dict[str, type[BaseModel]] = {
    "train": Train,
    "augment": Augment,
    "measure": Measure,
    "weights": Weights,
}


def shown(value: object) -> str:
    """Return a value in the notation of YAML.

    Args:
        value: Default of a key.

    Returns:
        The value as text; "none" for empty lists and parts.
    """
    if isinstance(value, BaseModel) or value is None or value == []:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def default(name: str, field: FieldInfo) -> str:
    """Return the default of a key, with those of optimisers and schedules that differ.

    Args:
        name: Name of the key.
        field: Field of the schema.

    Returns:
        The default as Markdown; "required" if there is none.
    """
    if field.is_required():
        return "required"
    others = [
        f"{setting}: {shown(values[name])}"
        for setting, values in DEFAULTS.items()
        if name in values
    ]
    value = shown(field.default)
    value = f"`{value}`" if isinstance(field.default, str) else value
    return f"{value} ({', '.join(others)})" if others else value


def table(part: str) -> str:
    """Return the table of a part of a space file.

    Args:
        part: Name of the part: train, augment, measure or weights.

    Returns:
        One row per key: name, default and description.
    """
    lines = [f"| key of `{part}` | default | description |", "| --- | --- | --- |"]
    for name, field in PARTS[part].model_fields.items():
        text = " ".join((field.description or "").split())
        lines.append(f"| `{name}` | {default(name, field)} | {text} |")
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    print(table(sys.argv[1]), end="")
