"""Names of parameters in messages: `mix_devices` for a Python program, `--mix-devices` for dsx.

The code below the command line names each parameter by `parameter()`. The command line sets the
translation for its process, as an application sets the language of its messages.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Naming = Callable[[str, object], str]


def as_argument(name: str, value: object) -> str:
    """Name a parameter as a keyword argument of Python.

    Args:
        name: Name of the parameter.
        value: Value to be given to it, or a placeholder; None to name the parameter only.

    Returns:
        `trials`, or `mix_devices=True`.
    """
    return name if value is None else f"{name}={value}"


_naming: ContextVar[Naming] = ContextVar("naming", default=as_argument)


def parameter(name: str, value: object = None) -> str:
    """Name a parameter for a message.

    Args:
        name: Name of the parameter in Python.
        value: Value that the user is advised to give to it (`True` for a switch, `NAME` as a
            placeholder); None to name the parameter only.

    Returns:
        The name as the user knows it.
    """
    return _naming.get()(name, value)


@contextmanager
def named_by(naming: Naming) -> Iterator[None]:
    """Name parameters in another way, such as by the options of a command line.

    Args:
        naming: Function that names a parameter, given its name and value as in `parameter`.
    """
    token = _naming.set(naming)
    try:
        yield
    finally:
        _naming.reset(token)
